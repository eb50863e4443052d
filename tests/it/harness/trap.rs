//! A listener that nobody should call: it answers nothing and counts who connected.

use std::io::ErrorKind;
use std::net::TcpListener;

use ocmesh::ocm::address::Provider;

/// What must not be reached. The system completes a connection without anyone here, so none is missed, however late the
/// counting.
pub struct Trap {
    pub provider: Provider,
    listener: TcpListener,
}

impl Trap {
    pub fn at(ip: &str) -> Self {
        let listener = TcpListener::bind((ip, 0)).unwrap();
        listener.set_nonblocking(true).unwrap();
        let provider = Provider::parse(&listener.local_addr().unwrap().to_string()).unwrap();
        Self { provider, listener }
    }

    pub fn port(&self) -> u16 {
        self.listener.local_addr().unwrap().port()
    }

    /// How many connections came since the last time of asking.
    pub fn connections(&self) -> usize {
        let mut count = 0;
        loop {
            match self.listener.accept() {
                Ok(_) => count += 1,
                Err(cause) if cause.kind() == ErrorKind::WouldBlock => return count,
                Err(cause) => panic!("{cause}"),
            }
        }
    }
}
