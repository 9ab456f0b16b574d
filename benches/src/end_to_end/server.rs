//! The server, in a process of its own.

use std::{
    convert::Infallible,
    io::{self, BufRead, BufReader, Read},
    process::{Child, Command, Stdio},
    thread,
};

use bytes::Bytes;
use http::{Request, Response, header};
use http_body_util::{BodyExt, Full};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use tokio::net::TcpListener;

use crate::process;

/// A server that runs until this is dropped.
pub struct Running {
    child: Child,
    port: u16,
}

impl Running {
    pub fn start() -> Result<Self, String> {
        let mut child = Command::new(process::program()?)
            .args(["end_to_end", "server"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .map_err(|error| error.to_string())?;
        let mut line = String::new();
        let out = child.stdout.take().ok_or("the server has no output")?;
        BufReader::new(out)
            .read_line(&mut line)
            .map_err(|error| error.to_string())?;
        let port = line.trim().parse();
        let port = port.map_err(|_| format!("the server says: {line}"))?;
        Ok(Self { child, port })
    }

    pub fn port(&self) -> u16 {
        self.port
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It ends when its input does.
        drop(self.child.stdin.take());
        let _ = self.child.wait();
    }
}

/// Tells its port, and answers until its input ends.
pub fn serve() -> Result<(), String> {
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| error.to_string())?;
    runtime
        .block_on(accept())
        .map_err(|error| error.to_string())
}

async fn accept() -> io::Result<()> {
    let listener = TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("{}", listener.local_addr()?.port());
    loop {
        let (stream, _) = listener.accept().await?;
        stream.set_nodelay(true)?;
        let connection =
            http1::Builder::new().serve_connection(TokioIo::new(stream), service_fn(answer));
        tokio::spawn(async move {
            // Clients end their connections as they like.
            let _ = connection.await;
        });
    }
}

/// Reads the question, and gives an answer of 1 KiB.
async fn answer(request: Request<Incoming>) -> Result<Response<Full<Bytes>>, Infallible> {
    let _ = request.into_body().collect().await;
    let answer = Response::builder()
        .header(header::CONTENT_TYPE, "application/json")
        .header("x-request-id", "req_0123456789")
        .body(Full::new(Bytes::from_static(&[b' '; 1_024])));
    Ok(answer.expect("an answer"))
}
