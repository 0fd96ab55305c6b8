//! DNS over QUIC, asked by aioquic. Debian 12 has no client (its kdig is built without QUIC), so this runs by hand:
//! `pip install aioquic dnspython && cargo test -p dns --test quic -- --ignored`.

mod desk;

use desk::{Folder, run, start};
use std::process::Command;

/// Asks for each `NAME/TYPE` on a stream of its own, all of one connection; what comes, as dnspython shows it.
const CLIENT: &str = r#"
import asyncio, ssl, sys, dns.message
from aioquic.asyncio import connect
from aioquic.quic.configuration import QuicConfiguration
async def main(port, ca, host, questions):
    configuration = QuicConfiguration(alpn_protocols=["doq"], server_name=host)
    configuration.load_verify_locations(ca)
    async with connect("127.0.0.1", int(port), configuration=configuration) as client:
        async def ask(question):
            name, rtype = question.split("/")
            query = dns.message.make_query(name, rtype, use_edns=0)
            query.id = 0
            reader, writer = await client.create_stream()
            wire = query.to_wire()
            writer.write(len(wire).to_bytes(2, "big") + wire)
            writer.write_eof()
            octets, records = await reader.read(-1), 0
            while octets:
                end = 2 + int.from_bytes(octets[:2], "big")
                message, octets = dns.message.from_wire(octets[2:end], one_rr_per_rrset=True), octets[end:]
                records += len(message.answer)
                if records < 10:
                    print(message)
            print(question, records, "records")
        await asyncio.gather(*[ask(question) for question in questions])
asyncio.run(asyncio.wait_for(main(*sys.argv[1:4], sys.argv[4:]), 20))
"#;

#[test]
#[ignore = "needs aioquic and dnspython from PyPI"]
fn aioquic_asks_and_transfers_over_quic() {
    let made = rcgen::generate_simple_self_signed(["ns.example.org".to_string()]).expect("a certificate");
    let (certificate, folder) = (made.cert.pem(), Folder::new("quic"));
    let ca = folder.write("ca.pem", &certificate).display().to_string();
    let pem = format!("{certificate}{}", made.signing_key.serialize_pem());
    let large: String = (0..5_000).map(|number| format!("t{number} TXT \"{number:0>200}\"\n")).collect();
    let zone = format!("$TTL 300\n@ SOA ns h 1 2 3 4 60\n@ NS ns\nns A 192.0.2.1\nwww A 192.0.2.2\n{large}");
    let ports = start(&[("example.org", zone)], vec![("_tls.pem".to_string(), pem)], |_| {});
    let ask = |host: &str, questions: &[&str]| {
        let port = ports.quic.to_string();
        run(Command::new("python3").args(["-c", CLIENT, &port, &ca, host]).args(questions))
    };
    let questions = ["www.example.org/A", "no.example.org/A", "example.org/AXFR", "www.example.org/A"];
    let said = ask("ns.example.org", &questions);
    assert!(said.contains("192.0.2.2") && said.contains("NXDOMAIN"), "{said}");
    assert!(said.contains("example.org/AXFR 5005 records"), "{said}");
    let other = ask("other.example.org", &["www.example.org/A"]);
    assert!(!other.contains("192.0.2.2"), "{other}");
}
