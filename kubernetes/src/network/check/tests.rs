//! The script of the check's Pods, run by the machine's own shell against listeners of the machine.

use std::{
    fs,
    io::{Read, Write},
    net::{TcpListener, TcpStream},
    os::unix::fs::PermissionsExt,
    process::{Child, Command, Stdio},
    thread,
    time::Duration,
};

use tempfile::TempDir;

use super::pods::SCRIPT;

/// The programs with which the script connects.
const PROGRAMS: [&str; 4] = ["python3", "nc", "curl", "wget"];

/// A directory with the only programs that the script finds.
struct Programs(TempDir);

impl Programs {
    /// Allows some programs of the machine; `None` if it does not have one of them. A sleep takes no time.
    fn only(names: &[&str]) -> Option<Self> {
        let folder = Self(tempfile::tempdir().unwrap());
        folder.add("sleep", "exit 0");
        for name in names {
            // The program itself, and not a script that chooses one of its versions.
            let program = match *name {
                "python3" => says("python3 -c 'import sys; print(sys.executable)'")?,
                name => says(&format!("command -v {name}"))?,
            };
            folder.add(name, &format!("exec '{program}' \"$@\""));
        }
        Some(folder)
    }

    fn add(&self, name: &str, text: &str) {
        let path = self.0.path().join(name);
        fs::write(&path, format!("#!/bin/sh\n{text}\n")).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
    }

    /// Starts the script as a container of the check does.
    fn start(&self, what: &str, address: &str, port: u16) -> Child {
        Command::new("/bin/sh")
            .args(["-c", SCRIPT, what, address, &port.to_string()])
            .env("PATH", self.0.path())
            .env("http_proxy", "http://127.0.0.1:1")
            .stdin(Stdio::null())
            .spawn()
            .unwrap()
    }

    fn run(&self, what: &str, address: &str, port: u16) -> Option<i32> {
        self.start(what, address, port).wait().unwrap().code()
    }
}

/// Returns what a command of the machine's shell prints; `None` if it fails.
fn says(command: &str) -> Option<String> {
    let output = Command::new("/bin/sh").args(["-c", command]).output().ok()?;
    output.status.success().then(|| String::from_utf8_lossy(&output.stdout).trim().to_owned())
}

/// A server that answers each connection, as the server Pod does, until it is dropped.
struct Server {
    port: u16,
    thread: Option<thread::JoinHandle<()>>,
    address: &'static str,
}

impl Server {
    /// `None` if the machine does not have the address.
    fn at(address: &'static str) -> Option<Self> {
        let listener = TcpListener::bind((address, 0)).ok()?;
        let port = listener.local_addr().unwrap().port();
        let thread = thread::spawn(move || {
            for client in listener.incoming() {
                let mut client = client.unwrap();
                client.set_read_timeout(Some(Duration::from_secs(1))).unwrap();
                let mut request = [0; 4096];
                let length = client.read(&mut request).unwrap_or_default();
                if request[..length].starts_with(b"END") {
                    return;
                }
                let _ = client.write_all(b"HTTP/1.0 200 OK\r\nContent-Length: 0\r\n\r\n");
            }
        });
        Some(Self { port, thread: Some(thread), address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = TcpStream::connect((self.address, self.port)).and_then(|mut stream| stream.write_all(b"END"));
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

/// Guards that each program that an image may have, and this machine has, tells whether the server is reached, also by IPv6.
#[test]
fn each_program_tells_whether_the_server_is_reached() {
    for program in PROGRAMS {
        let Some(programs) = Programs::only(&[program]) else { continue };
        for address in ["127.0.0.1", "::1"] {
            let Some(server) = Server::at(address) else { continue };
            let port = server.port;
            let what = format!("{program} {address}");
            assert_eq!(programs.run("until-reachable", address, port), Some(0), "{what}: reached");
            drop(server);
            assert_eq!(programs.run("until-blocked", address, port), Some(0), "{what}: not reached any more");
        }
    }
}

/// Guards the statuses of a server that is still reached, and of one that was never reached.
#[test]
fn the_client_gives_up() {
    let Some(programs) =
        ["nc", "curl", "wget", "python3"].into_iter().find_map(|name| Programs::only(&[name]))
    else {
        return;
    };
    let server = Server::at("127.0.0.1").unwrap();
    let port = server.port;
    assert_eq!(programs.run("until-blocked", "127.0.0.1", port), Some(3));
    drop(server);
    assert_eq!(programs.run("until-reachable", "127.0.0.1", port), Some(4));
}

/// Guards that an image without a program is distinguished from a server that is not reached.
#[test]
fn an_image_without_a_program_has_a_status_of_its_own() {
    let none = Programs::only(&[]).unwrap();
    for what in ["serve", "until-reachable", "until-blocked"] {
        assert_eq!(none.run(what, "127.0.0.1", 9), Some(5), "{what}");
    }
}

/// Guards that the script's own server is reached by its own client, also by the clients of other programs.
#[test]
fn the_server_is_reached() {
    let Some(server) = Programs::only(&["python3"]) else { return };
    let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
    let mut running = server.start("serve", "", port);
    for program in PROGRAMS {
        let Some(client) = Programs::only(&[program]) else { continue };
        // The client waits until the server listens. With a sleep that takes no time, python3 alone is slow enough.
        let reached = (0..20).any(|_| client.run("until-reachable", "127.0.0.1", port) == Some(0));
        assert!(reached, "{program}");
    }
    running.kill().unwrap();
    running.wait().unwrap();
    assert_eq!(server.run("until-blocked", "127.0.0.1", port), Some(0));
}
