//! Notifications for systemd: ready, reloading, stopping, alive.

use std::ffi::OsStr;
use std::time::Duration;

/// The service manager's socket, if there is one.
#[derive(Debug, Default)]
pub struct Notify {
    #[cfg(unix)]
    socket: Option<(std::os::unix::net::UnixDatagram, std::os::unix::net::SocketAddr)>,
}

impl Notify {
    /// The socket that `NOTIFY_SOCKET` names.
    pub fn from_env() -> Notify {
        std::env::var_os("NOTIFY_SOCKET").map(|name| Notify::to(&name)).unwrap_or_default()
    }

    /// Opens the socket of this name: a path, or `@` and an abstract name.
    #[cfg(unix)]
    pub fn to(name: &OsStr) -> Notify {
        use std::os::unix::ffi::OsStrExt;
        use std::os::unix::net::{SocketAddr, UnixDatagram};
        let address = match name.as_bytes().strip_prefix(b"@") {
            #[cfg(target_os = "linux")]
            Some(rest) => {
                use std::os::linux::net::SocketAddrExt;
                SocketAddr::from_abstract_name(rest)
            }
            _ => SocketAddr::from_pathname(name),
        };
        let socket = UnixDatagram::unbound().and_then(|socket| {
            socket.set_nonblocking(true)?;
            Ok((socket, address?))
        });
        Notify { socket: socket.ok() }
    }

    /// Unavailable without systemd.
    #[cfg(not(unix))]
    pub fn to(_name: &OsStr) -> Notify {
        Notify::default()
    }

    /// Sends a state such as `READY=1`; errors are ignored.
    pub fn tell(&self, what: &str) {
        #[cfg(unix)]
        if let Some((socket, address)) = &self.socket {
            let _ = socket.send_to_addr(what.as_bytes(), address);
        }
        #[cfg(not(unix))]
        let _ = what;
    }

    /// The watchdog interval: half of the requested one.
    pub fn watchdog() -> Option<Duration> {
        let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
        (micros > 0).then(|| Duration::from_micros(micros / 2))
    }
}
