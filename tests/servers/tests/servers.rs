//! Starts real servers, kills them, and looks for what they leave behind.

use std::net::TcpStream;
use std::time::Instant;

use crm_test_servers::{
    Document, Fault, Lose, MongoServer, Options, PostgresProbe, PostgresServer, Proxy, Value, clean_stale,
};
use look::{folder_of, one, processes_in, segments_made_by, session};

#[cfg(test)]
mod look {
    //! What the tests look at.

    use std::fs;
    use std::path::{Path, PathBuf};

    use crm_test_servers::{Document, MongoServer, PostgresProbe, Reply, Value};

    /// The folder in which a process works.
    pub(crate) fn folder_of(pid: u32) -> PathBuf {
        let uses = fs::read_link(format!("/proc/{pid}/cwd")).unwrap();
        if uses.ends_with("data") { uses.parent().unwrap().to_owned() } else { uses }
    }

    pub(crate) fn processes_in(folder: &Path) -> usize {
        let works_there = |entry: &fs::DirEntry| {
            fs::read_link(entry.path().join("cwd")).is_ok_and(|cwd| cwd.starts_with(folder))
        };
        fs::read_dir("/proc").unwrap().flatten().filter(works_there).count()
    }

    pub(crate) fn one(probe: &mut PostgresProbe, sql: &str) -> String {
        probe.run(sql).unwrap().remove(0).remove(0).unwrap()
    }

    pub(crate) fn segments_made_by(pid: u32) -> usize {
        let table = fs::read_to_string("/proc/sysvipc/shm").unwrap();
        table.lines().filter(|line| line.split_whitespace().nth(4) == Some(&pid.to_string())).count()
    }

    /// A session id that the server made.
    pub(crate) fn session(server: &MongoServer) -> Document {
        let reply: Reply =
            server.probe().unwrap().run("admin", Document::new().int("startSession", 1)).unwrap();
        let Some(Value::Nested(id)) = reply.get("id") else { panic!("no session id") };
        Document::from(id)
    }
}

#[test]
fn postgres_starts_survives_a_crash_and_leaves_nothing() {
    let start = Instant::now();
    let server = PostgresServer::start(&Options::durable().with("work_mem", "5MB")).unwrap();
    println!("{} at {} after {:?}", server.version(), server.url(), start.elapsed());
    let mut probe = server.probe().unwrap();
    for (setting, value) in
        [("server_encoding", "UTF8"), ("fsync", "on"), ("max_connections", "200"), ("work_mem", "5MB")]
    {
        assert_eq!(one(&mut probe, &format!("SHOW {setting}")), value);
    }
    assert_eq!(one(&mut probe, "SELECT datcollate FROM pg_database WHERE datname = 'postgres'"), "C");
    probe.run("CREATE TABLE kept (id int); INSERT INTO kept VALUES (7)").unwrap();
    assert!(probe.run("SELECT 1/0").unwrap_err().to_string().contains("22012"));

    let (port, pid) = (server.port(), server.pid().unwrap());
    let folder = folder_of(pid);
    assert!(processes_in(&folder) > 3, "the postmaster and its children");
    server.kill_hard().unwrap();
    assert_eq!((server.pid(), processes_in(&folder)), (None, 0));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());
    assert!(probe.run("SELECT 1").is_err());

    server.restart().unwrap();
    assert_eq!(server.port(), port);
    assert_eq!(one(&mut server.probe().unwrap(), "SELECT id FROM kept"), "7");
    server.restart().unwrap();
    assert_eq!(one(&mut server.probe().unwrap(), "SELECT id FROM kept"), "7");

    drop(server);
    assert_eq!(processes_in(&folder), 0);
    assert!(!folder.exists());
}

#[test]
fn a_killed_postgres_that_is_dropped_leaves_no_shared_memory() {
    let server = PostgresServer::start(&Options::fast()).unwrap();
    let pid = server.pid().unwrap();
    assert_eq!(segments_made_by(pid), 1);
    server.kill_hard().unwrap();
    server.stop().unwrap();
    assert_eq!(segments_made_by(pid), 0);
}

#[test]
fn mongod_starts_survives_a_crash_and_leaves_nothing() {
    let start = Instant::now();
    let server = MongoServer::start(&Options::durable()).unwrap();
    println!("{} at {} after {:?}", server.version(), server.url(), start.elapsed());
    let majority = Document::new().text("w", "majority");
    let insert = Document::new()
        .text("insert", "kept")
        .array("documents", &[Document::new().int("_id", 7)])
        .document("writeConcern", &majority);
    server.probe().unwrap().run("test", insert).unwrap();

    let (port, folder) = (server.port(), folder_of(server.pid().unwrap()));
    server.kill_hard().unwrap();
    assert_eq!((server.pid(), processes_in(&folder)), (None, 0));
    assert!(TcpStream::connect(("127.0.0.1", port)).is_err());

    server.restart().unwrap();
    assert_eq!(server.port(), port);
    let mut probe = server.probe().unwrap();
    let count = probe.run("test", Document::new().text("count", "kept")).unwrap();
    assert_eq!(count.get("n"), Some(Value::Int(1)));
    assert!(probe.run("test", Document::new().int("noSuchCommand", 1)).is_err());
    let stopping = Instant::now();
    drop(server);
    println!("stopped after {:?}", stopping.elapsed());
    assert_eq!(processes_in(&folder), 0);
    assert!(!folder.exists());
}

#[test]
fn mongod_offers_transactions_through_a_proxy_that_loses_the_commits_reply() {
    let server = MongoServer::start(&Options::fast()).unwrap();
    let (proxy, url) = Proxy::before_url(&server.url()).unwrap();
    assert!(url.contains("directConnection=true"));
    let session = session(&server);
    let in_transaction =
        |command: Document| command.document("lsid", &session).long("txnNumber", 1).bool("autocommit", false);
    let mut probe = crm_test_servers::MongoProbe::connect(proxy.port()).unwrap();
    let insert = Document::new().text("insert", "kept").array("documents", &[Document::new().int("_id", 1)]);
    probe.run("test", in_transaction(insert).bool("startTransaction", true)).unwrap();
    proxy.arm(Fault::mongo_commit(Lose::Reply));
    assert!(probe.run("admin", in_transaction(Document::new().int("commitTransaction", 1))).is_err());
    assert_eq!(proxy.fired(), 1);
    let count = server.probe().unwrap().run("test", Document::new().text("count", "kept")).unwrap();
    assert_eq!(count.get("n"), Some(Value::Int(1)), "the commit reached the server");
}

#[test]
fn postgres_through_a_proxy_loses_the_commits_reply_or_the_commit() {
    let server = PostgresServer::start(&Options::fast()).unwrap();
    let (proxy, _) = Proxy::before_url(&server.url()).unwrap();
    server.probe().unwrap().run("CREATE TABLE kept (id int)").unwrap();
    for (lose, rows) in [(Lose::Reply, "1"), (Lose::Request, "1")] {
        proxy.arm(Fault::postgres_commit(lose));
        let mut probe = PostgresProbe::connect(proxy.port(), "crm", "postgres").unwrap();
        probe.run("BEGIN; INSERT INTO kept VALUES (1)").unwrap();
        assert!(probe.run("COMMIT").is_err());
        assert_eq!(one(&mut server.probe().unwrap(), "SELECT count(*) FROM kept"), rows, "{lose:?}");
    }
    assert_eq!(proxy.fired(), 2);
}

#[test]
fn a_paused_server_answers_again_and_can_be_stopped_while_paused() {
    let server = PostgresServer::start(&Options::fast()).unwrap();
    let mut probe = server.probe().unwrap();
    server.pause().unwrap();
    server.resume().unwrap();
    assert_eq!(one(&mut probe, "SELECT 1"), "1");
    server.pause().unwrap();
    let folder = folder_of(server.pid().unwrap());
    server.stop().unwrap();
    assert_eq!(processes_in(&folder), 0);
}

#[test]
fn a_server_outlives_the_thread_that_started_it() {
    let started = std::thread::spawn(|| PostgresServer::start(&Options::fast()).unwrap());
    let server = started.join().unwrap();
    std::thread::sleep(std::time::Duration::from_millis(300));
    assert_eq!(one(&mut server.probe().unwrap(), "SELECT 1"), "1");
    clean_stale().unwrap();
    assert!(server.pid().is_some(), "a living runner's server is not stale");
}

#[test]
fn a_server_that_cannot_start_shows_its_log() {
    let error = PostgresServer::start(&Options::fast().with("max_connections", "many")).unwrap_err();
    assert!(error.to_string().contains("invalid value for parameter"), "{error}");
    let error = MongoServer::start(&Options::fast().with("noSuchOption", "1")).unwrap_err();
    assert!(error.to_string().contains("noSuchOption"), "{error}");
}
