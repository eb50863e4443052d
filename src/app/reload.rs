//! Other settings, or other data, in a server that runs: made ready beside what is there, then put in its place.

use std::sync::atomic::Ordering;

use crate::app::Running;
use crate::app::current::Candidate;
use crate::config::Config;
use crate::error::Result;
use crate::site::Site;
use crate::site::life::Reread;

impl Running {
    /// Puts settings in force. Nobody is refused meanwhile, and requests under way end with the settings they began with.
    ///
    /// # Errors
    ///
    /// As [`start`](crate::app::start); then all is as before.
    pub async fn reload(&mut self, mut config: Config) -> Result<Reread> {
        let mut reread = Reread::compare(&self.site.config, &mut config);
        let new_certificates = !self.site.keeps_certificates(&config);
        let site = Box::pin(self.site.with(config, self.world.clone())).await?;
        self.put_in_place(site, new_certificates)?;
        // Files may be others under the same names. Those that don't fit are refused and the old ones stay; the settings
        // are in force all the same.
        match self.site.certificates.reread().await {
            Ok(refused) => reread.certificate = refused.map(|error| error.message().to_owned()),
            Err(error) => {
                tracing::error!(
                    causes = error.causes(),
                    "Nobody could be told of the certificate files: {error}"
                );
            }
        }
        Ok(reread)
    }

    /// Goes on with the data as it is on disk, after the store stopped.
    ///
    /// # Errors
    ///
    /// As [`Site::reopen`]; then nothing can be answered until a later try succeeds.
    pub async fn recover(&mut self) -> Result<()> {
        self.rest();
        self.recovering.store(true, Ordering::SeqCst);
        let site = Box::pin(self.site.reopen(self.world.clone())).await?;
        let new_certificates = site.config.tls_mode().is_here();
        self.put_in_place(site, new_certificates)?;
        self.recovering.store(false, Ordering::SeqCst);
        Ok(())
    }

    fn put_in_place(&mut self, site: Site, new_certificates: bool) -> Result<()> {
        let candidate = Candidate::new(&site)?;
        let change = self.fronts.prepare(&site, &self.current, new_certificates)?;
        self.current.replace(candidate);
        self.fronts.begin(change);
        self.addresses = self.fronts.addresses();
        self.numbers = self.fronts.numbers();
        self.site = site;
        self.work();
        Ok(())
    }
}
