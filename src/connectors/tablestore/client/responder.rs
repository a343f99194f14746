//! A service of one page for tests: takes requests apart, answers them by a script, and notes what was asked.

use crate::connectors::{
    StoreSettings,
    tablestore::{
        client::Client,
        config::Config,
        messages::error::Error,
        pack,
        sign::{Credentials, Key, Scheme},
    },
};
use parking_lot::Mutex;
use prost::Message;
use std::{collections::VecDeque, sync::Arc, time::Duration};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
};

/// What happens to the next request.
#[derive(Clone, Debug)]
pub enum Play {
    Answer(Vec<u8>),
    Packed(Vec<u8>),
    /// A head, and a body that is not the one that was summed and signed.
    Spoiled(Vec<u8>),
    Forged(Vec<u8>),
    /// A service whose clock is so many seconds ahead.
    Ahead(i64, Box<Play>),
    Complaint(u16, &'static str),
    /// As it is, without the service's headers.
    Bare(u16, &'static str),
    /// So many bytes, with or without a word of how many there are.
    Large {
        bytes: usize,
        told: bool,
    },
    /// It was taken, and the connection ends.
    Cut,
    /// It was taken, and nothing comes.
    Hang,
}

#[derive(Clone, Debug)]
pub struct Asked {
    pub path: String,
    pub headers: Vec<(String, String)>,
    pub body: Vec<u8>,
    /// Which of the connections it came over.
    pub connection: usize,
}

impl Asked {
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    fn key(&self) -> Key {
        let credentials = Credentials { id: "ak".into(), secret: "sk".into(), sts_token: None };
        let scheme = match self.header("x-ots-signregion") {
            Some(region) => Scheme::V4 { region: region.to_owned() },
            None => Scheme::V2,
        };
        Key::new(&credentials, &scheme, self.header("x-ots-signdate").unwrap_or_default())
    }
}

pub struct Responder {
    pub client: Client,
    asked: Arc<Mutex<Vec<Asked>>>,
}

impl Responder {
    pub async fn start(script: impl IntoIterator<Item = Play>) -> Responder {
        Responder::with(&[], script).await
    }

    pub async fn with(options: &[(&str, &str)], script: impl IntoIterator<Item = Play>) -> Responder {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("tablestore://inst@{}/", listener.local_addr().unwrap());
        let client = Client::new(&config(&url, options)).unwrap();
        let asked = Arc::<Mutex<Vec<Asked>>>::default();
        let script = Arc::new(Mutex::new(script.into_iter().collect::<VecDeque<Play>>()));
        let noted = Arc::clone(&asked);
        tokio::spawn(async move {
            for connection in 0.. {
                let (socket, _) = listener.accept().await.unwrap();
                tokio::spawn(serve(socket, connection, Arc::clone(&script), Arc::clone(&noted)));
            }
        });
        Responder { client, asked }
    }

    pub fn asked(&self) -> Vec<Asked> {
        self.asked.lock().clone()
    }
}

pub fn config(url: &str, options: &[(&str, &str)]) -> Config {
    let options = [("access_key_id", "ak"), ("http", "on"), ("answer_timeout_ms", "2000")].iter().chain(options);
    Config::read(&StoreSettings {
        name: "a".into(),
        url: url.into(),
        options: options.map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect(),
        secrets: [("access_key_secret".to_owned(), "sk".into()), ("sts_token".to_owned(), "tok".into())].into(),
    })
    .unwrap()
}

async fn serve(
    mut socket: TcpStream,
    connection: usize,
    script: Arc<Mutex<VecDeque<Play>>>,
    noted: Arc<Mutex<Vec<Asked>>>,
) {
    while let Some(asked) = request(&mut socket, connection).await {
        let headers: Vec<(&str, &str)> = asked.headers.iter().map(|(name, value)| (&name[..], &value[..])).collect();
        let (name, signature) = asked.key().request(&asked.path, &headers);
        assert_eq!(asked.header(name), Some(signature.as_str()), "the request's signature");
        assert_eq!(asked.header("x-ots-contentmd5"), Some(pack::md5(&asked.body).as_str()));
        noted.lock().push(asked.clone());
        let play = script.lock().pop_front().expect("no more was expected");
        match play {
            Play::Cut => return,
            Play::Large { bytes, told } => {
                let length = if told { format!("content-length: {bytes}\r\n") } else { String::new() };
                let head = format!("HTTP/1.1 200 x\r\n{length}\r\n");
                // Whoever has seen enough hangs up.
                let _ = socket.write_all(&[head.into_bytes(), vec![0; bytes]].concat()).await;
                return;
            }
            Play::Hang => tokio::time::sleep(Duration::from_secs(60)).await,
            play => socket.write_all(&reply(&asked, play, 0)).await.unwrap(),
        }
    }
}

async fn request(socket: &mut TcpStream, connection: usize) -> Option<Asked> {
    let mut bytes = Vec::new();
    let end = loop {
        if let Some(at) = bytes.windows(4).position(|part| part == b"\r\n\r\n") {
            break at + 4;
        }
        if socket.read_buf(&mut bytes).await.ok()? == 0 {
            return None;
        }
    };
    let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
    let mut lines = head.lines();
    let path = lines.next()?.split(' ').nth(1)?.trim_start_matches('/').to_owned();
    let headers: Vec<(String, String)> = lines
        .filter_map(|line| line.split_once(": "))
        .map(|(name, value)| (name.to_ascii_lowercase(), value.to_owned()))
        .collect();
    let mut asked = Asked { path, headers, body: bytes[end..].to_vec(), connection };
    let length: usize = asked.header("content-length").unwrap_or("0").parse().unwrap();
    while asked.body.len() < length {
        socket.read_buf(&mut asked.body).await.ok()?;
    }
    Some(asked)
}

fn reply(asked: &Asked, play: Play, ahead_s: i64) -> Vec<u8> {
    let (mut headers, mut status, mut forged) = (Vec::new(), 200, false);
    let (raw, sent) = match play {
        Play::Ahead(ahead_s, play) => return reply(asked, *play, ahead_s),
        Play::Bare(status, head) => {
            return format!("HTTP/1.1 {status} x\r\ncontent-length: 0\r\n{head}\r\n").into_bytes();
        }
        Play::Answer(body) => (body.clone(), body),
        Play::Packed(body) => {
            headers.push(("x-ots-response-compress-type", "deflate".to_owned()));
            headers.push(("x-ots-response-compress-size", body.len().to_string()));
            let packed = pack::deflate(&body);
            (body, packed)
        }
        Play::Spoiled(body) => {
            let sent = body.iter().map(|byte| byte ^ 1).collect();
            (body, sent)
        }
        Play::Forged(body) => {
            forged = true;
            (body.clone(), body)
        }
        Play::Complaint(number, code) => {
            status = number;
            let error = Error { code: Some(code.to_owned()), message: Some("no".to_owned()), access_denied: None };
            (error.encode_to_vec(), error.encode_to_vec())
        }
        Play::Cut | Play::Hang | Play::Large { .. } => unreachable!("answered apart"),
    };
    let date = jiff::Timestamp::now() + jiff::SignedDuration::from_secs(ahead_s);
    headers.extend([
        ("x-ots-contentmd5", pack::md5(&raw)),
        ("x-ots-contenttype", "protocol buffer".to_owned()),
        ("x-ots-requestid", "0005-1".to_owned()),
        ("x-ots-date", date.strftime("%Y-%m-%dT%H:%M:%S.%6fZ").to_string()),
    ]);
    let signed: Vec<(&str, &str)> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
    let path = if forged { "Another" } else { &asked.path };
    let authorization = asked.key().answer(path, &signed);
    let mut out = format!("HTTP/1.1 {status} x\r\ncontent-length: {}\r\n", sent.len());
    out.push_str(&format!("authorization: OTS ak:{authorization}\r\n"));
    headers.iter().for_each(|(name, value)| out.push_str(&format!("{name}: {value}\r\n")));
    out.push_str("\r\n");
    [out.into_bytes(), sent].concat()
}
