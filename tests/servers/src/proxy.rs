//! A proxy in front of a server that loses a request or its reply: what a caller sees when the network fails at the
//! worst moment, while it commits.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;

use crate::error::{Doing, Result};
use crate::fault::{Fault, Lose};
use crate::urls::authority;

#[derive(Debug, Default)]
struct State {
    fault: Option<Fault>,
    fired: u32,
    closed: bool,
    open: Vec<TcpStream>,
}

impl State {
    /// Decides on what a client sent.
    fn strike(&mut self, seen: &[u8]) -> Option<Fault> {
        let struck = self.fault.as_mut()?.strike(seen)?;
        if struck.times == 0 {
            self.fault = None;
        }
        self.fired += 1;
        Some(struck)
    }
}

/// A TCP proxy on the loopback interface. It forwards faithfully until a [`Fault`] is armed; dropping it closes its
/// port and every connection.
///
/// Encrypted connections pass, but no request in them can be recognised.
#[derive(Debug)]
pub struct Proxy {
    port: u16,
    state: Arc<Mutex<State>>,
}

impl Proxy {
    /// Starts a proxy in front of a port of this machine.
    pub fn start(target_port: u16) -> Result<Self> {
        Self::before("127.0.0.1".to_owned(), target_port)
    }

    /// Starts a proxy in front of the one server that a `postgres://` or `mongodb://` URL names, and returns it with
    /// the URL that leads through it. A MongoDB URL needs `directConnection=true`, or the driver goes around it.
    pub fn before_url(url: &str) -> Result<(Self, String)> {
        let (start, end, host, port) = authority(url)?;
        let proxy = Self::before(host, port)?;
        let through = format!("{}127.0.0.1:{}{}", &url[..start], proxy.port, &url[end..]);
        Ok((proxy, through))
    }

    fn before(host: String, target_port: u16) -> Result<Self> {
        let doing = || "open the proxy's port".to_owned();
        let listener = TcpListener::bind(("127.0.0.1", 0)).doing(doing)?;
        let port = listener.local_addr().doing(doing)?.port();
        let state = Arc::new(Mutex::new(State::default()));
        let shared = Arc::clone(&state);
        thread::Builder::new()
            .name("proxy".to_owned())
            .spawn(move || accept(&listener, &host, target_port, &shared))
            .doing(|| "start the proxy's thread".to_owned())?;
        Ok(Self { port, state })
    }

    /// The port to connect to.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Arms a fault, in place of one armed before.
    pub fn arm(&self, fault: Fault) {
        lock(&self.state).fault = Some(fault);
    }

    /// Forwards faithfully again.
    pub fn disarm(&self) {
        lock(&self.state).fault = None;
    }

    /// How often faults struck since the start.
    pub fn fired(&self) -> u32 {
        lock(&self.state).fired
    }

    /// Cuts every open connection; new ones are accepted.
    pub fn cut(&self) {
        for stream in lock(&self.state).open.drain(..) {
            close(&stream);
        }
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        lock(&self.state).closed = true;
        self.cut();
        // Wakes the accepting thread, which then ends.
        let _ = TcpStream::connect(("127.0.0.1", self.port));
    }
}

fn lock(state: &Mutex<State>) -> MutexGuard<'_, State> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

fn close(stream: &TcpStream) {
    let _ = stream.shutdown(Shutdown::Both);
}

fn accept(listener: &TcpListener, host: &str, target_port: u16, state: &Arc<Mutex<State>>) {
    for client in listener.incoming() {
        let Ok(client) = client else { continue };
        if lock(state).closed {
            return;
        }
        // A server that is down: the client sees its connection closed.
        if let Ok(server) = TcpStream::connect((host, target_port)) {
            let _ = connect(&client, &server, state);
        }
    }
}

/// Starts the two directions of one connection.
fn connect(client: &TcpStream, server: &TcpStream, state: &Arc<Mutex<State>>) -> std::io::Result<()> {
    client.set_nodelay(true)?;
    server.set_nodelay(true)?;
    {
        let mut state = lock(state);
        state.open.retain(|stream| stream.peer_addr().is_ok());
        state.open.extend([client.try_clone()?, server.try_clone()?]);
    }
    let pending: Arc<Mutex<Option<Fault>>> = Arc::default();
    let (from, to) = (client.try_clone()?, server.try_clone()?);
    let (state, struck) = (Arc::clone(state), Arc::clone(&pending));
    thread::Builder::new().name("proxy-up".to_owned()).spawn(move || {
        requests(&from, &to, &state, &struck);
        close_unless_waiting(&from, &to, &struck);
    })?;
    let (from, to) = (server.try_clone()?, client.try_clone()?);
    thread::Builder::new().name("proxy-down".to_owned()).spawn(move || {
        replies(&from, &to, &pending);
        close(&from);
        close(&to);
    })?;
    Ok(())
}

/// A reply that is to be swallowed closes the connection when it has come, so not before.
fn close_unless_waiting(client: &TcpStream, server: &TcpStream, pending: &Mutex<Option<Fault>>) {
    if pending.lock().unwrap_or_else(PoisonError::into_inner).is_none() {
        close(client);
        close(server);
    }
}

fn requests(
    mut client: &TcpStream,
    mut server: &TcpStream,
    state: &Mutex<State>,
    pending: &Mutex<Option<Fault>>,
) {
    let mut chunk = vec![0; 65536];
    let mut seen = Vec::new();
    while let Ok(size @ 1..) = client.read(&mut chunk) {
        seen.extend(&chunk[..size]);
        let struck = lock(state).strike(&seen);
        // What may be the start of a pattern that the next chunk completes; a pattern that struck counts once.
        let keep = lock(state).fault.as_ref().map_or(0, |fault| fault.request.len().saturating_sub(1));
        seen.drain(..seen.len().saturating_sub(keep));
        match struck {
            Some(fault) if fault.lose == Lose::Request => return,
            // Before the request is sent, so that no reply can slip through.
            Some(fault) => *pending.lock().unwrap_or_else(PoisonError::into_inner) = Some(fault),
            None => {}
        }
        if server.write_all(&chunk[..size]).is_err() {
            return;
        }
    }
}

fn replies(mut server: &TcpStream, mut client: &TcpStream, pending: &Mutex<Option<Fault>>) {
    let mut chunk = vec![0; 65536];
    let mut swallowed = Vec::new();
    while let Ok(size @ 1..) = server.read(&mut chunk) {
        let fault = pending.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(fault) = fault {
            swallowed.extend(&chunk[..size]);
            if fault.answered_by(&swallowed) {
                return;
            }
        } else if client.write_all(&chunk[..size]).is_err() {
            return;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::time::Duration;

    use super::*;

    /// A server that answers each line with "ok LINE" and remembers the lines.
    fn server() -> (u16, Arc<Mutex<String>>) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let heard = Arc::new(Mutex::new(String::new()));
        let log = Arc::clone(&heard);
        thread::spawn(move || {
            for client in listener.incoming() {
                let (mut client, log) = (client.unwrap(), Arc::clone(&log));
                thread::spawn(move || {
                    let mut line = String::new();
                    let mut byte = [0];
                    while let Ok(1) = client.read(&mut byte) {
                        line.push(char::from(byte[0]));
                        if line.ends_with('\n') {
                            log.lock().unwrap().push_str(&line);
                            let _ = client.write_all(format!("ok {line}").as_bytes());
                            line.clear();
                        }
                    }
                });
            }
        });
        (port, heard)
    }

    struct Client(TcpStream);

    impl Client {
        fn new(proxy: &Proxy) -> Self {
            let stream = TcpStream::connect(("127.0.0.1", proxy.port())).unwrap();
            stream.set_read_timeout(Some(Duration::from_secs(5))).unwrap();
            Self(stream)
        }

        /// The answer; empty when the connection was closed instead.
        fn ask(&mut self, parts: &[&str]) -> String {
            for part in parts {
                self.0.write_all(part.as_bytes()).unwrap();
                thread::sleep(Duration::from_millis(20));
            }
            let mut chunk = [0; 100];
            match self.0.read(&mut chunk) {
                Ok(size) => String::from_utf8_lossy(&chunk[..size]).into_owned(),
                Err(error) if error.kind() == io::ErrorKind::ConnectionReset => String::new(),
                Err(error) => panic!("the connection neither answered nor closed: {error}"),
            }
        }
    }

    fn fault(lose: Lose) -> Fault {
        Fault { request: b"commit".to_vec(), reply: b"commit".to_vec(), lose, skip: 0, times: 1 }
    }

    #[test]
    fn without_a_fault_everything_passes() {
        let (port, _) = server();
        let proxy = Proxy::start(port).unwrap();
        assert_eq!(Client::new(&proxy).ask(&["commit\n"]), "ok commit\n");
        assert_eq!(proxy.fired(), 0);
    }

    #[test]
    fn a_lost_reply_was_acted_on_and_a_lost_request_was_not() {
        let (port, heard) = server();
        let proxy = Proxy::start(port).unwrap();
        proxy.arm(fault(Lose::Reply));
        let mut client = Client::new(&proxy);
        assert_eq!(client.ask(&["begin\n"]), "ok begin\n");
        assert_eq!(client.ask(&["commit\n"]), "");
        assert_eq!(*heard.lock().unwrap(), "begin\ncommit\n");
        proxy.arm(fault(Lose::Request));
        assert_eq!(Client::new(&proxy).ask(&["commit\n"]), "");
        assert_eq!(*heard.lock().unwrap(), "begin\ncommit\n");
        assert_eq!(proxy.fired(), 2);
        assert_eq!(Client::new(&proxy).ask(&["commit\n"]), "ok commit\n", "it disarmed itself");
    }

    #[test]
    fn a_pattern_in_two_pieces_is_recognised() {
        let (port, _) = server();
        let proxy = Proxy::start(port).unwrap();
        proxy.arm(fault(Lose::Reply));
        assert_eq!(Client::new(&proxy).ask(&["xx com", "mit\n"]), "");
        assert_eq!(proxy.fired(), 1);
    }

    #[test]
    fn skip_and_times_count_requests() {
        let (port, _) = server();
        let proxy = Proxy::start(port).unwrap();
        proxy.arm(fault(Lose::Reply).after(1).times(2));
        let answers: Vec<_> = (0..4).map(|_| Client::new(&proxy).ask(&["commit\n"])).collect();
        assert_eq!(answers, ["ok commit\n", "", "", "ok commit\n"]);
        proxy.arm(fault(Lose::Reply).times(u32::MAX));
        assert_eq!(Client::new(&proxy).ask(&["commit\n"]), "");
        proxy.disarm();
        assert_eq!(Client::new(&proxy).ask(&["commit\n"]), "ok commit\n");
    }

    #[test]
    fn cut_closes_what_is_open_and_a_drop_closes_the_port() {
        let (port, _) = server();
        let proxy = Proxy::start(port).unwrap();
        let mut client = Client::new(&proxy);
        assert_eq!(client.ask(&["a\n"]), "ok a\n");
        proxy.cut();
        assert_eq!(client.ask(&[]), "");
        let mut client = Client::new(&proxy);
        assert_eq!(client.ask(&["b\n"]), "ok b\n");
        let proxy_port = proxy.port();
        drop(proxy);
        assert_eq!(client.ask(&[]), "");
        for _ in 0..100 {
            if TcpStream::connect(("127.0.0.1", proxy_port)).is_err() {
                return;
            }
            thread::sleep(Duration::from_millis(10));
        }
        panic!("the proxy's port is still open");
    }

    #[test]
    fn a_url_is_led_through_the_proxy() {
        let (proxy, url) = Proxy::before_url("mongodb://u:p@127.0.0.1:9/?directConnection=true").unwrap();
        assert_eq!(url, format!("mongodb://u:p@127.0.0.1:{}/?directConnection=true", proxy.port()));
    }
}
