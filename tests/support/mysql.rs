//! MariaDB and MySQL servers of a test's own: unpacked by `tests/setup`, in a temporary folder, on a free port, judged by
//! their own client (MySQL 5.6, which has none here, by MariaDB's).

use super::{
    tools,
    wait::{self, until},
};
use std::{
    fs,
    io::Write,
    net::TcpListener,
    path::{Path, PathBuf},
    process::{Child, Command, Output, Stdio},
    time::SystemTime,
};
use tempfile::TempDir;

/// Which server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Mariadb,
    /// The series 9.7.
    Mysql,
    /// The series 5.6.
    Mysql56,
}

/// What every test's server has; a test's own flags come after it and win.
const FLAGS: &[&str] = &[
    "--server-id=1",
    "--log-bin=binlog",
    "--binlog-format=ROW",
    "--bind-address=127.0.0.1",
    "--skip-name-resolve",
    "--innodb-buffer-pool-size=64M",
    "--performance-schema=OFF",
    "--character-set-server=utf8mb4",
];

impl Kind {
    /// The statement that makes the log anew.
    pub fn reset(self) -> &'static str {
        match self {
            Kind::Mysql => "RESET BINARY LOGS AND GTIDS",
            Kind::Mariadb | Kind::Mysql56 => "RESET MASTER",
        }
    }

    /// As its folder is named by `tests/setup`.
    fn name(self) -> &'static str {
        match self {
            Kind::Mariadb => "mariadb",
            Kind::Mysql => "mysql",
            Kind::Mysql56 => "mysql56",
        }
    }

    fn flags(self) -> &'static [&'static str] {
        match self {
            Kind::Mariadb => &["--innodb-log-file-size=16M"],
            Kind::Mysql => &[
                "--gtid-mode=ON",
                "--enforce-gtid-consistency=ON",
                "--innodb-redo-log-capacity=16M",
                "--secure-file-priv=NULL",
                "--mysqlx=OFF",
            ],
            Kind::Mysql56 => &[
                "--gtid-mode=ON",
                "--enforce-gtid-consistency",
                "--log-slave-updates",
                "--innodb-log-file-size=16M",
                "--sync-binlog=1",
            ],
        }
    }

    /// Made at every start, outside the log: `reader` may do what following needs, `writer` all.
    fn accounts(self) -> &'static str {
        match self {
            Kind::Mariadb => {
                "SET sql_log_bin = 0;
CREATE USER IF NOT EXISTS reader@'%' IDENTIFIED BY 'secret';
GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, REPLICATION SLAVE, BINLOG MONITOR, REPLICA MONITOR, PROCESS ON *.* TO reader@'%';
CREATE USER IF NOT EXISTS writer@'%' IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO writer@'%';
CREATE DATABASE IF NOT EXISTS shop;
"
            }
            Kind::Mysql => {
                "SET sql_log_bin = 0;
CREATE USER IF NOT EXISTS reader@'%' IDENTIFIED BY 'secret';
GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, REPLICATION SLAVE, REPLICATION CLIENT, PROCESS ON *.* TO reader@'%';
GRANT XA_RECOVER_ADMIN ON *.* TO reader@'%';
CREATE USER IF NOT EXISTS writer@'%' IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO writer@'%';
CREATE DATABASE IF NOT EXISTS shop;
"
            }
            Kind::Mysql56 => {
                "SET sql_log_bin = 0;
DELETE FROM mysql.user WHERE user = '';
FLUSH PRIVILEGES;
GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, REPLICATION SLAVE, REPLICATION CLIENT, PROCESS ON *.* TO reader@'%' IDENTIFIED BY 'secret';
GRANT ALL ON *.* TO writer@'%' IDENTIFIED BY 'secret';
CREATE DATABASE IF NOT EXISTS shop;
"
            }
        }
    }
}

pub const PASSWORD: &str = "secret";

/// Killed, and its folder removed, when dropped.
pub struct Server {
    pub kind: Kind,
    home: PathBuf,
    folder: TempDir,
    pub port: u16,
    flags: Vec<String>,
    child: Option<Child>,
}

impl Server {
    /// MariaDB with these flags besides; returns when it answers.
    pub fn mariadb(flags: &[&str]) -> Server {
        Server::of(Kind::Mariadb, flags)
    }

    /// The MySQLs have GTIDs on.
    pub fn of(kind: Kind, flags: &[&str]) -> Server {
        let home = tools::server(kind.name());
        // Not where the build is: the path of a socket is short.
        let folder = tempfile::Builder::new().prefix("wm").tempdir_in("/tmp").expect("a temp folder");
        copy(&home.join("template"), &folder.path().join("data"));
        // A copy is another server.
        let _ = fs::remove_file(folder.path().join("data/auto.cnf"));
        let port = TcpListener::bind("127.0.0.1:0").and_then(|free| free.local_addr()).expect("a free port").port();
        let mut server = Server {
            kind,
            home,
            folder,
            port,
            flags: flags.iter().map(|&flag| flag.to_owned()).collect(),
            child: None,
        };
        server.start();
        server
    }

    /// Starts it (again), in the same folder, on the same port.
    ///
    /// # Panics
    /// With the server's log if it does not come up.
    pub fn start(&mut self) {
        assert!(self.child.is_none(), "it runs");
        fs::write(self.path().join("accounts.sql"), self.kind.accounts()).expect("ours");
        let folder = self.path().to_owned();
        let (daemon, base, share) = self.places();
        let temporary = folder.join("tmp");
        fs::create_dir_all(&temporary).expect("ours");
        let child = self
            .program(daemon)
            .args(["--no-defaults", "--user=root"])
            .arg(format!("--basedir={}", base.display()))
            .arg(format!("--lc-messages-dir={}", share.display()))
            .arg(format!("--character-sets-dir={}", share.join("charsets").display()))
            .arg(format!("--plugin-dir={}", base.join("lib/mysql/plugin").display()))
            .arg(format!("--datadir={}", folder.join("data").display()))
            // A server that starts removes what others have in a folder that they share.
            .arg(format!("--tmpdir={}", temporary.display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", folder.join("pid").display()))
            .arg(format!("--init-file={}", folder.join("accounts.sql").display()))
            .arg(format!("--port={}", self.port))
            .args(FLAGS)
            .args(self.kind.flags())
            .args(&self.flags)
            .stdout(Stdio::null())
            .stderr(fs::File::options().create(true).append(true).open(folder.join("log")).expect("ours"))
            .spawn()
            .expect("the server runs");
        self.child = Some(child);
        wait::until("the server answers", || {
            let ended = self.child.as_mut().expect("started").try_wait().expect("ours");
            assert!(ended.is_none(), "the server ended: {}", self.log());
            self.client("SELECT 1", "mysql").status.success().then_some(())
        });
    }

    /// With other flags from the next start on.
    pub fn set_flags(&mut self, flags: &[&str]) {
        self.flags = flags.iter().map(|&flag| flag.to_owned()).collect();
    }

    /// Ends it as its owner would.
    pub fn stop(&mut self) {
        match self.kind {
            // It has no statement for it.
            Kind::Mysql56 => {
                let child = self.child.as_ref().expect("it runs");
                // SAFETY: our own child, not yet waited for.
                unsafe { libc::kill(child.id() as libc::pid_t, libc::SIGTERM) };
            }
            _ => drop(self.sql("SHUTDOWN")),
        }
        self.child.take().expect("it runs").wait().expect("ours");
    }

    /// Ends it as a power cut of the process would: `kill -9`.
    pub fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().expect("ours");
            child.wait().expect("ours");
        }
    }

    /// Notes all that it holds, while it is stopped.
    pub fn back_up(&mut self) {
        self.stop();
        let backup = self.path().join("backup");
        if backup.exists() {
            fs::remove_dir_all(&backup).expect("ours");
        }
        copy(&self.path().join("data"), &backup);
        self.start();
    }

    /// Puts the backup in the place of what it holds; in a later second than its last transaction, which a log tells.
    pub fn restore(&mut self) {
        let second = || SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).expect("after 1970").as_secs();
        let last = second();
        self.kill();
        fs::remove_dir_all(self.path().join("data")).expect("ours");
        copy(&self.path().join("backup"), &self.path().join("data"));
        self.start();
        until("the next second", || (second() > last).then_some(()));
    }

    /// Another server's folder comes to this one's place, which is stopped, and starts there.
    pub fn take_over(&mut self, mut other: Server) {
        assert!(self.child.is_none(), "it runs");
        other.stop();
        fs::remove_dir_all(self.path().join("data")).expect("ours");
        copy(&other.path().join("data"), &self.path().join("data"));
        self.start();
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.as_ref().expect("it runs").id()
    }

    pub fn restart(&mut self) {
        self.stop();
        self.start();
    }

    /// What the server's own client prints as root, with `shop` as its database: rows as lines, values apart by tabs.
    ///
    /// # Panics
    /// With what the client says, if it fails.
    pub fn sql(&self, text: &str) -> String {
        let output = self.client(text, "shop");
        let complaint = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{complaint}\nin: {text}");
        String::from_utf8(output.stdout).expect("utf-8")
    }

    /// As `sql`, where the server may be away, or not know a table yet.
    pub fn try_sql(&self, text: &str) -> Option<String> {
        let output = self.client(text, "shop");
        output.status.success().then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    }

    /// All rows of tables of `shop`, a line each in no order, behind a line with the table's columns in that of their names:
    /// to compare. Bytes are hex digits, numbers of any precision whole.
    pub fn rows(&self, tables: &[&str]) -> String {
        let literal = |name: &str| format!("'{}'", name.replace('\\', "\\\\").replace('\'', "''"));
        let named: Vec<String> = tables.iter().map(|table| literal(table)).collect();
        let columns = self.sql(&format!(
            "SELECT TABLE_NAME, COLUMN_NAME, DATA_TYPE FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = 'shop' \
             AND TABLE_NAME IN ({})",
            named.join(", ")
        ));
        // As the client shows it.
        let columns = columns.replace("\\\\", "\\");
        let (mut text, mut asked) = (String::new(), String::new());
        for table in tables {
            let own = columns.lines().filter_map(|line| line.strip_prefix(&format!("{table}\t")));
            let mut own: Vec<(&str, &str)> = own.map(|line| line.split_once('\t').expect("two values")).collect();
            own.sort_unstable();
            let names: Vec<&str> = own.iter().map(|(name, _)| *name).collect();
            let values: Vec<String> = own.iter().map(|(name, kind)| shown(name, kind)).collect();
            text += &format!("{table}: {}\n", names.join(", "));
            if !own.is_empty() {
                asked += &format!("SELECT {}, {} FROM {};\n", literal(table), values.join(", "), quoted(table));
            }
        }
        text + &self.sql(&asked)
    }

    /// Ends every connection of an account.
    pub fn end_all_of(&self, user: &str) {
        let ids = format!("SELECT CONCAT('KILL ', ID) FROM information_schema.PROCESSLIST WHERE USER = '{user}'");
        // There may be no room for us, and they may have ended by themselves.
        for kill in self.try_sql(&ids).iter().flat_map(|kills| kills.lines()) {
            self.try_sql(kill);
        }
    }

    /// Tables of numbers, `numbers.seq_1_to_n (seq)`, outside of the log. MariaDB has them by itself.
    pub fn numbers(&self, upto: &[usize]) {
        let mut sql = "SET sql_log_bin = 0; CREATE DATABASE IF NOT EXISTS numbers;\n".to_owned();
        for upto in upto.iter().filter(|_| self.kind != Kind::Mariadb) {
            let all: Vec<String> = (1..=*upto).map(|number| format!("({number})")).collect();
            let name = format!("numbers.seq_1_to_{upto}");
            sql += &format!(
                "CREATE TABLE {name} (seq BIGINT PRIMARY KEY); INSERT INTO {name} VALUES {};\n",
                all.join(",")
            );
        }
        self.sql(&sql);
    }

    /// A session of the server's own client that stays open: transactions beside a test.
    pub fn session(&self) -> Session {
        let mut command = self.client_command("shop");
        let command = command.args(["--unbuffered", "--force"]).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut child = command.stderr(Stdio::null()).spawn().expect("the client runs");
        let answers = std::io::BufReader::new(child.stdout.take().expect("piped"));
        Session { child, answers, asked: 0 }
    }

    /// As a store's URL: `mysql://writer@127.0.0.1:port/shop`. The password is `PASSWORD`.
    pub fn url(&self, user: &str) -> String {
        format!("mysql://{user}@127.0.0.1:{}/shop", self.port)
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn socket(&self) -> PathBuf {
        self.path().join("sock")
    }

    /// What the server has written about itself.
    pub fn log(&self) -> String {
        fs::read_to_string(self.path().join("log")).unwrap_or_default()
    }

    /// One of the programs that came with it.
    pub fn program(&self, name: &str) -> Command {
        let mut command = Command::new(self.home.join("run"));
        command.arg(name).current_dir(self.path());
        command
    }

    /// For a server that came without its client.
    fn of_mariadb(&self, name: &str) -> Command {
        let mut command = Command::new(tools::server("mariadb").join("run"));
        command.arg(name).current_dir(self.path());
        command
    }

    /// The daemon's name, its base folder, and the one with its messages and character sets.
    fn places(&self) -> (&'static str, PathBuf, PathBuf) {
        let root = self.home.join("root");
        match self.kind {
            Kind::Mariadb => ("mariadbd", root.join("usr"), root.join("usr/share/mysql")),
            Kind::Mysql => ("mysqld", root.join("usr"), root.join("usr/share/mysql")),
            Kind::Mysql56 => ("mysqld", root.clone(), root.join("share")),
        }
    }

    fn client_command(&self, database: &str) -> Command {
        let mut command = match self.kind {
            Kind::Mariadb => self.program("mariadb"),
            Kind::Mysql => self.program("mysql"),
            Kind::Mysql56 => self.of_mariadb("mariadb"),
        };
        command
            .args(["--no-defaults", "-uroot", "--default-character-set=utf8mb4", "--batch", "--skip-column-names"])
            .arg(format!("--socket={}", self.socket().display()))
            .arg(database);
        command
    }

    fn client(&self, text: &str, database: &str) -> Output {
        let mut command = self.client_command(database);
        let command = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = command.spawn().expect("the client runs");
        let mut input = child.stdin.take().expect("piped");
        let text = text.to_owned();
        // Beside it, so that neither waits for the other; a client that has ended does not listen.
        let writing = std::thread::spawn(move || input.write_all(text.as_bytes()));
        let output = child.wait_with_output().expect("ours");
        let _ = writing.join().expect("no panic");
        output
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
    }
}

/// Ended, and what it had open rolled back, when dropped.
pub struct Session {
    child: Child,
    answers: std::io::BufReader<std::process::ChildStdout>,
    asked: u64,
}

impl Session {
    /// Says it and returns when it is done, with what it printed. Errors are not seen.
    pub fn sql(&mut self, text: &str) -> String {
        self.say(text);
        self.answer()
    }

    /// Says it and does not wait: for statements that are to block. `answer` waits.
    pub fn say(&mut self, text: &str) {
        self.asked += 1;
        let input = self.child.stdin.as_mut().expect("piped");
        writeln!(input, "{text};\nSELECT 'answered {}';", self.asked).expect("the client listens");
        input.flush().expect("the client listens");
    }

    /// What the last statement printed, once it is done.
    pub fn answer(&mut self) -> String {
        use std::io::BufRead;
        let (end, mut seen) = (format!("answered {}", self.asked), String::new());
        loop {
            let mut line = String::new();
            assert!(self.answers.read_line(&mut line).expect("text") > 0, "the client ended");
            if line.trim_end() == end {
                return seen;
            }
            seen += &line;
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

fn quoted(name: &str) -> String {
    format!("`{}`", name.replace('`', "``"))
}

/// A column's values as text that tells each from any other.
fn shown(name: &str, kind: &str) -> String {
    let name = quoted(name);
    match kind {
        "float" | "double" => format!("{name} + 0e0"),
        "bit" => format!("{name} + 0"),
        kind if kind.ends_with("blob") || kind.ends_with("binary") || kind == "geometry" => format!("HEX({name})"),
        _ => format!("QUOTE({name})"),
    }
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).expect("ours");
    for entry in fs::read_dir(from).expect("the template") {
        let entry = entry.expect("readable");
        let (path, to) = (entry.path(), to.join(entry.file_name()));
        match path.is_dir() {
            true => copy(&path, &to),
            false => drop(fs::copy(&path, &to).expect("room")),
        }
    }
}
