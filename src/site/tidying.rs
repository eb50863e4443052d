//! What is over is forgotten, while the time can be believed.

use crate::error::Result;
use crate::site::Site;

impl Site {
    /// Does what is due by the clock alone: keys take their turns, and what is over is forgotten for good. Nothing of it
    /// is done while the clock is in doubt, for nobody could take it back (T-83); whether it was done.
    pub async fn tidy(&self) -> Result<bool> {
        self.notices.look_at_disk(self.homes.room()?).await?;
        if !self.timekeeper.look().await? {
            return Ok(false);
        }
        let now = self.clock.now();
        if let Err(error) = self.keys.advance(now).await {
            tracing::warn!(
                causes = error.causes(),
                "The signing keys are not what they should be by now: {error}"
            );
        }
        self.homes.arrivals().forget_abandoned(now);
        self.peers.forget_old_signatures().await?;
        self.peers.forget_old_imports().await?;
        self.audit.sweep().await?;
        self.users.forget_old_sessions(now).await?;
        Ok(true)
    }
}
