//! Where a server listens: addresses, and the socket for commands.

use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

pub fn bind(address: &SocketAddr) -> Result<TcpListener> {
    TcpListener::bind(address).map_err(|cause| {
        let hint = match cause.kind() {
            std::io::ErrorKind::AddrInUse => "; another program listens there",
            std::io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
            _ => "",
        };
        Error::new(
            Reason::ConfigInvalid,
            format!("server.listen: {address}: {cause}{hint}"),
        )
    })
}

/// A socket left by a server that was killed is in the way of the next one; a socket somebody answers on is not ours.
pub fn make_room(socket: &Path) -> Result<()> {
    if UnixStream::connect(socket).is_ok() {
        return Err(wrong_socket(socket, "another server answers there"));
    }
    // Whatever else may stand there is somebody's, and this was a slip of the pen.
    let is_other = std::fs::symlink_metadata(socket).is_ok_and(|there| !there.file_type().is_socket());
    if is_other {
        return Err(wrong_socket(
            socket,
            "there is a file that is no socket; it is left alone",
        ));
    }
    match std::fs::remove_file(socket) {
        Ok(()) => Ok(()),
        Err(cause) if cause.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(cause) => Err(wrong_socket(socket, &cause.to_string())),
    }
}

pub fn wrong_socket(socket: &Path, why: &str) -> Error {
    Error::new(
        Reason::ConfigInvalid,
        format!("server.admin_socket: {}: {why}", socket.display()),
    )
}
