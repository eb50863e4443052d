//! Where a server listens: addresses, and the socket for commands.

use std::io;
use std::net::SocketAddr;
use std::net::TcpListener;
use std::os::unix::fs::FileTypeExt;
use std::os::unix::net::UnixStream;
use std::path::Path;

use crate::config::Listen;
use crate::error::Error;
use crate::error::Reason;
use crate::error::Result;

/// The sockets that this process listens on, by the address that was asked for. Whoever serves one gets a clone: a
/// listener can be exchanged for another without the address ever being let go of.
#[derive(Default)]
pub struct Sockets(Vec<(SocketAddr, TcpListener)>);

impl Sockets {
    /// Takes one that was bound before.
    pub fn keep(&mut self, asked: SocketAddr, listener: TcpListener) {
        self.0.push((asked, listener));
    }

    /// The socket of an address, bound now if it is not yet. `setting` is the one that names the address.
    ///
    /// # Errors
    ///
    /// [`Reason::AddressTaken`] or [`Reason::ConfigInvalid`], naming setting, address and what is in the way.
    pub fn of(&mut self, setting: &str, address: SocketAddr) -> Result<TcpListener> {
        if let Some((_, there)) = self.0.iter().find(|(asked, _)| *asked == address) {
            return Ok(there.try_clone()?);
        }
        let listener =
            bind(setting, address, TcpListener::bind).map_err(|error| self.our_own(setting, address, error))?;
        let clone = listener.try_clone()?;
        self.keep(address, listener);
        Ok(clone)
    }

    /// A port on every address and one on a single address are in each other's way also where both are ours.
    fn our_own(&self, setting: &str, wanted: SocketAddr, error: Error) -> Error {
        let covers = |(asked, _): &&(SocketAddr, TcpListener)| {
            asked.port() == wanted.port() && (asked.ip().is_unspecified() || wanted.ip().is_unspecified())
        };
        match self.0.iter().find(covers) {
            Some((there, _)) if error.reason() == Reason::AddressTaken => Error::new(
                Reason::ConfigInvalid,
                format!(
                    "{setting}: {wanted}: this server listens at {there} itself, and can't take both at once: name one of \
                     them, or restart it where {there} is not wanted any more"
                ),
            ),
            _ => error,
        }
    }

    /// Lets go of all that nobody wants any more.
    pub fn keep_only(&mut self, wanted: &[SocketAddr]) {
        self.0.retain(|(asked, _)| wanted.contains(asked));
    }
}

fn bind<T>(setting: &str, address: SocketAddr, bind: impl Fn(SocketAddr) -> io::Result<T>) -> Result<T> {
    let refused = |cause: io::Error| {
        let hint = match cause.kind() {
            io::ErrorKind::AddrInUse => "; another program listens there: stop that one, or choose another port",
            io::ErrorKind::PermissionDenied => "; ports below 1024 need CAP_NET_BIND_SERVICE",
            io::ErrorKind::AddrNotAvailable => "; this machine has no such address",
            _ => "",
        };
        let reason = match cause.kind() {
            // Other programs end, and networks come up.
            io::ErrorKind::AddrInUse | io::ErrorKind::AddrNotAvailable => Reason::AddressTaken,
            _ => Reason::ConfigInvalid,
        };
        Error::new(reason, format!("{setting}: {address}: {cause}{hint}"))
    };
    bind(address).or_else(|cause| {
        let Some(instead) = Listen::instead(address, &cause) else {
            return Err(refused(cause));
        };
        tracing::warn!(
            setting,
            "This machine has no IPv6: {instead} is listened on in place of {address}"
        );
        bind(instead).map_err(refused)
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

#[cfg(test)]
mod tests {
    use std::net::Ipv4Addr;

    use super::*;

    #[test]
    fn our_own_socket_on_that_port_is_no_other_program() {
        let mut sockets = Sockets::default();
        let here = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = here.local_addr().unwrap();
        sockets.keep(address, here);
        let everywhere = SocketAddr::from((Ipv4Addr::UNSPECIFIED, address.port()));
        let error = sockets.of("server.listen", everywhere).unwrap_err().to_string();
        assert!(
            error.contains("name one of") && error.contains(&address.to_string()),
            "{error}"
        );
        // An address that is not there yet is covered by none.
        let elsewhere = SocketAddr::from(([192, 0, 2, 7], address.port()));
        let error = sockets.of("server.listen", elsewhere).unwrap_err();
        assert_eq!(error.reason(), Reason::AddressTaken, "{error}");
    }

    #[test]
    fn every_address_is_every_ipv4_address_where_there_is_no_ipv6() {
        let bound = |address: &str, ipv6: i32| {
            let try_it = |address: SocketAddr| match address {
                SocketAddr::V6(_) => Err(io::Error::from_raw_os_error(ipv6)),
                SocketAddr::V4(_) => Ok(address.to_string()),
            };
            bind("server.listen", address.parse().unwrap(), try_it)
        };
        const EAFNOSUPPORT: i32 = 97;
        const EADDRNOTAVAIL: i32 = 99;
        const EADDRINUSE: i32 = 98;
        assert_eq!(bound("[::]:443", EAFNOSUPPORT).unwrap(), "0.0.0.0:443");
        assert_eq!(bound("[::]:443", EADDRNOTAVAIL).unwrap(), "0.0.0.0:443");
        assert_eq!(bound("0.0.0.0:443", EAFNOSUPPORT).unwrap(), "0.0.0.0:443");
        let check = |address: &str, cause: i32, reason: Reason, part: &str| {
            let error = bound(address, cause).unwrap_err();
            assert_eq!(error.reason(), reason);
            assert!(
                error.to_string().starts_with(&format!("server.listen: {address}: ")),
                "{error}"
            );
            assert!(error.to_string().contains(part), "{error}");
        };
        check("[::]:443", EADDRINUSE, Reason::AddressTaken, "another program");
        check(
            "[2001:db8::1]:443",
            EADDRNOTAVAIL,
            Reason::AddressTaken,
            "no such address",
        );
        const EACCES: i32 = 13;
        check("[::]:443", EACCES, Reason::ConfigInvalid, "CAP_NET_BIND_SERVICE");
    }
}
