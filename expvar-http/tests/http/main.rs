//! The server over real sockets.

mod attacks;
mod callbacks;
mod client;
mod go;
mod limits;
mod mounted;
mod requests;
mod start;
