//! Networks that are there before the processes in them.

use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::thread;

use casque_sandbox::ContainerNetwork;

#[test]
fn a_new_network_has_a_loopback_alone_and_what_listens_there_can_be_served_from_outside() {
    let network = ContainerNetwork::new().unwrap();
    let devices = network.within(|| std::fs::read_to_string("/proc/thread-self/net/dev").unwrap()).unwrap();
    let devices: Vec<&str> =
        devices.lines().filter_map(|line| Some(line.split_once(':')?.0.trim())).collect();
    assert_eq!(devices, ["lo"]);

    let listener = network.within(|| TcpListener::bind("127.0.0.1:0").unwrap()).unwrap();
    let address = listener.local_addr().unwrap();
    let serving = thread::spawn(move || listener.accept().unwrap().0.write_all(b"from outside").unwrap());
    let heard = network.within(|| {
        let mut text = String::new();
        TcpStream::connect(address).unwrap().read_to_string(&mut text).unwrap();
        text
    });
    serving.join().unwrap();
    assert_eq!(heard.unwrap(), "from outside");
    assert!(TcpStream::connect(address).is_err(), "the caller's own network has nobody listening there");
}
