//! What systemd is told: that samlare is ready, reloads, stops, and still lives.

use std::ffi::OsStr;
use std::time::Duration;

/// The service manager's socket; nothing where there is none.
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

    /// The socket of this name, as systemd writes it: a path, or `@` and an abstract name.
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

    /// Nowhere, as there is no systemd.
    #[cfg(not(unix))]
    pub fn to(_name: &OsStr) -> Notify {
        Notify::default()
    }

    /// Tells it, as in `READY=1`; if it does not listen, nobody minds.
    pub fn tell(&self, what: &str) {
        #[cfg(unix)]
        if let Some((socket, address)) = &self.socket {
            let _ = socket.send_to_addr(what.as_bytes(), address);
        }
        #[cfg(not(unix))]
        let _ = what;
    }

    /// How often it wants to hear `WATCHDOG=1`: twice as often as it asks for.
    pub fn watchdog() -> Option<Duration> {
        let micros: u64 = std::env::var("WATCHDOG_USEC").ok()?.parse().ok()?;
        (micros > 0).then(|| Duration::from_micros(micros / 2))
    }
}
