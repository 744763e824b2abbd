//! A container's process 1 in small: serves port 80, and ends in order when it is asked to.
//!
//! | first argument | does |
//! | --- | --- |
//! | `serve` | sends back what it got once the client has said all; ends with code 7 at TERM |
//! | `stubborn` | the same, and does not listen to TERM |
//! | `deaf` | the same as `serve`, without listening on any port |
//! | `say` | prints the other arguments and its environment, and ends with code 3 |

#![expect(clippy::print_stdout, reason = "its output is what the tests look at")]

use std::io::{self, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::ExitCode;
use std::thread;

use casque_sandbox::Signals;

const TERM: i32 = 15;

fn main() -> io::Result<ExitCode> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let signals = Signals::take_over(&[TERM]);
    match arguments.first().map(String::as_str) {
        Some("say") => {
            println!("{}", arguments[1..].join(" "));
            let mut variables: Vec<_> = std::env::vars().collect();
            variables.sort();
            for (name, value) in variables {
                println!("{name}={value}");
            }
            return Ok(ExitCode::from(3));
        }
        Some("deaf") => {}
        _ => {
            let listener = TcpListener::bind("0.0.0.0:80")?;
            thread::spawn(move || serve(&listener));
        }
    }
    std::fs::write("/data/started", "")?;
    println!("ready");
    while signals.next() != TERM || arguments.first().is_some_and(|word| word == "stubborn") {}
    println!("stopping");
    Ok(ExitCode::from(7))
}

fn serve(listener: &TcpListener) {
    for client in listener.incoming().flatten() {
        thread::spawn(move || echo(client));
    }
}

fn echo(mut client: TcpStream) -> io::Result<()> {
    let mut said = Vec::new();
    client.read_to_end(&mut said)?;
    client.write_all(&said)
}
