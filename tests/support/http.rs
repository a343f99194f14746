//! A plain GET over a socket, so that a test sees exactly what is sent.

use std::{
    io::{Read, Write},
    net::TcpStream,
};

pub struct Answer {
    pub code: u16,
    /// In lower case.
    pub head: String,
    pub body: String,
}

pub fn get(address: &str, path: &str) -> Answer {
    ask(address, &format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n"))
}

/// Sends the request as it is, and reads to the end.
pub fn ask(address: &str, request: &str) -> Answer {
    let mut stream = TcpStream::connect(address).expect("it listens");
    stream.write_all(request.as_bytes()).expect("it reads");
    let mut text = String::new();
    stream.read_to_string(&mut text).expect("text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head");
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).expect("a code");
    Answer { code, head: head.to_lowercase(), body: body.to_owned() }
}
