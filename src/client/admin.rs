//! The command line's way to a running server: its admin socket, a Unix socket on this machine.

use std::path::Path;
use std::path::PathBuf;

use futures_util::StreamExt;

use crate::client::ByteStream;
use crate::client::explain;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// The address that requests over the socket carry; nothing resolves it.
pub const ORIGIN: &str = "http://admin.ocmesh.invalid";

/// A connection to the admin socket of a running server.
pub struct AdminClient {
    http: reqwest::Client,
    socket: PathBuf,
}

impl AdminClient {
    /// # Errors
    ///
    /// [`Reason::ServerUnreachable`] if nothing listens on `socket`; [`Reason::NotAllowed`] where that can't be told,
    /// because this user may not use it.
    pub async fn connect(socket: &Path) -> Result<Self> {
        let unreachable = |cause: std::io::Error| {
            let at = socket.display();
            let (reason, why) = match cause.kind() {
                std::io::ErrorKind::PermissionDenied => {
                    (Reason::NotAllowed, format!("this user may not ask the server at {at}"))
                }
                _ => (Reason::ServerUnreachable, format!("no server answers at {at}")),
            };
            Error::new(reason, why).caused_by(cause)
        };
        crate::client::install_crypto();
        drop(tokio::net::UnixStream::connect(socket).await.map_err(unreachable)?);
        let http = reqwest::Client::builder()
            .unix_socket(socket)
            .no_proxy()
            // No TLS here; without this line reqwest looks for the certificates of the system, and fails where there are
            // none, as in a container with nothing else in it.
            .tls_certs_only([])
            .build()
            .map_err(Error::internal)?;
        Ok(Self {
            http,
            socket: socket.to_owned(),
        })
    }

    /// Posts `body` to `path`; gives the status, the content type and the answer as it arrives.
    ///
    /// # Errors
    ///
    /// [`Reason::ServerUnreachable`] if the server goes away meanwhile.
    pub async fn call(&self, path: &str, body: ByteStream) -> Result<(u16, String, ByteStream)> {
        let response = self
            .http
            .post(format!("{ORIGIN}{path}"))
            .body(reqwest::Body::wrap_stream(body))
            .send()
            .await
            .map_err(|cause| {
                Error::new(
                    Reason::ServerUnreachable,
                    format!("the server at {} broke off", self.socket.display()),
                )
                .caused_by(cause)
            })?;
        let content_type = response
            .headers()
            .get("content-type")
            .and_then(|value| value.to_str().ok())
            .unwrap_or_default()
            .to_owned();
        let status = response.status().as_u16();
        let stream = response
            .bytes_stream()
            .map(|chunk| chunk.map_err(|cause| explain(cause, "the server")));
        Ok((status, content_type, Box::pin(stream)))
    }
}
