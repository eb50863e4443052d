//! Which site answers: the listeners stay, and each request gets the one that is current when it comes.

use std::rc::Rc;
use std::sync::Arc;
use std::sync::PoisonError;
use std::sync::RwLock;

use actix_web::Error;
use actix_web::body::MessageBody;
use actix_web::dev::Extensions;
use actix_web::dev::ServiceRequest;
use actix_web::dev::ServiceResponse;
use actix_web::middleware::Next;
use actix_web::web::Data;

use crate::error::Result;
use crate::http::discovery::Published;
use crate::site::Site;

/// The site that answers from now on. Clones are the same.
#[derive(Clone)]
pub struct Current(Arc<RwLock<Answering>>);

#[derive(Clone)]
struct Answering {
    site: Data<Site>,
    published: Data<Published>,
}

/// A site that could answer, and does not yet.
pub struct Candidate(Answering);

impl Candidate {
    /// # Errors
    ///
    /// As [`Published::of`].
    pub fn new(site: &Site) -> Result<Self> {
        Ok(Self(Answering {
            site: Data::new(site.clone()),
            published: Data::new(Published::of(site)?),
        }))
    }
}

impl Current {
    pub fn new(first: Candidate) -> Self {
        Self(Arc::new(RwLock::new(first.0)))
    }

    /// Requests under way end with the one they began with.
    pub fn replace(&self, next: Candidate) {
        *self.0.write().unwrap_or_else(PoisonError::into_inner) = next.0;
    }

    pub fn site(&self) -> Data<Site> {
        self.now().site
    }

    fn now(&self) -> Answering {
        self.0.read().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

/// Hands the current site to all that answers this request. It comes before everything else.
pub async fn present<B: MessageBody + 'static>(
    mut request: ServiceRequest,
    next: Next<B>,
) -> Result<ServiceResponse<B>, Error> {
    if let Some(current) = request.app_data::<Current>().cloned() {
        let Answering { site, published } = current.now();
        let mut given = Extensions::new();
        given.insert(site);
        given.insert(published);
        request.add_data_container(Rc::new(given));
    }
    next.call(request).await
}
