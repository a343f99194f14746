//! Connections that never say a word: bounded in number and in time, and in nobody's way.

use super::guarded::{Guarded, Kit, sockets};
use crate::support::wait::eventually;
use std::{
    io::{Read, Write},
    net::TcpStream,
};

/// Half-open ones that the daemon holds at most, and what it has open anyway.
const HELD: usize = 64 + 16;

/// Whether the daemon has closed it.
fn is_closed(mut connection: &TcpStream) -> bool {
    connection.set_nonblocking(true).expect("open");
    match connection.read(&mut [0; 1024]) {
        Ok(read) => read == 0,
        Err(error) => error.kind() != std::io::ErrorKind::WouldBlock,
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_of_a_tls_port() {
    let guarded = Guarded::new().with_tls();
    let daemon = guarded.home.serve();
    let mut silent: Vec<TcpStream> = (0..150).map(|_| TcpStream::connect(&daemon.address).expect("accepted")).collect();
    // The first bytes of a hello, and no more.
    silent.iter_mut().step_by(2).for_each(|half| half.write_all(&[22, 3, 1]).unwrap_or(()));
    assert_eq!(Kit::tls(guarded.trusting()).list(&daemon.address).await, Ok(0), "others are served");
    eventually("few are held", async || (sockets(&daemon) <= HELD).then_some(())).await;
    for half in silent {
        eventually("silence is ended", async || is_closed(&half).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn silent_clients_of_a_plain_port() {
    let guarded = Guarded::new();
    let daemon = guarded.home.serve();
    let silent = TcpStream::connect(&daemon.address).expect("accepted");
    let mut halting = TcpStream::connect(&daemon.address).expect("accepted");
    halting.write_all(b"PRI * HTTP/2.0\r\n").expect("open");
    assert_eq!(Kit::default().list(&daemon.address).await, Ok(0));
    for half in [&silent, &halting] {
        eventually("silence is ended", async || is_closed(half).then_some(())).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn more_connections_than_there_are_places() {
    let guarded = Guarded::new();
    let daemon = guarded.home.serve();
    let all: Vec<TcpStream> = (0..560).map(|_| TcpStream::connect(&daemon.address).expect("accepted")).collect();
    eventually("some are turned away", async || all.iter().any(is_closed).then_some(())).await;
    assert!(sockets(&daemon) <= 512 + 16);
    drop(all);
    eventually("others are served again", async || Kit::default().list(&daemon.address).await.ok()).await;
}
