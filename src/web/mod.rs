//! stub
use actix_web::HttpResponse;
use actix_web::web::ServiceConfig;
pub fn configure(_s: &mut ServiceConfig) {}
pub async fn not_found() -> HttpResponse {
    HttpResponse::NotFound().finish()
}
