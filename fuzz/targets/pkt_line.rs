//! What a git server sends: packets of any content, in pieces of any size, to everything that takes packets apart. Nothing
//! panics, and what is taken for a packet is as long as it says.
#![no_main]

use libfuzzer_sys::fuzz_target;
use store::remote::{
    advertisement::{Advertisement, Service},
    fetch::{Event, Request, Response},
    pkt_line::{Band, Packet},
    push::Report,
    references::References,
};

fuzz_target!(|input: (u8, &[u8])| {
    let (kind, bytes) = input;
    let depth = (kind & 1 != 0).then_some(1);
    let mut advertisement = Advertisement::new(References::looking_for((kind & 2 != 0).then_some("main")));
    let mut rest = bytes;
    while let Ok(Some((packet, length))) = Packet::decode(rest) {
        assert!((4..=rest.len()).contains(&length));
        assert!(!matches!(packet, Packet::Data(data) if data.len() + 4 != length));
        rest = &rest[length..];
        if !matches!(advertisement.handle(packet), Ok(false)) {
            break;
        }
    }
    let _ = advertisement.check(Service::UploadPack);
    let _ = advertisement.check(Service::ReceivePack);
    let _ = advertisement.references().head();
    let request = Request { depth, ..Request::default() };
    let _ = request.encode(&advertisement);
    answers(&advertisement, &request, rest);
});

/// Takes what is left for an answer of each kind.
fn answers(server: &Advertisement, request: &Request, bytes: &[u8]) {
    let mut response = Response::new(server, request);
    let mut report = Report::new(server);
    let mut references = References::looking_for(None);
    let (mut fetching, mut pushing, mut listing) = (true, true, true);
    let mut rest = bytes;
    while let Ok(Some((packet, length))) = Packet::decode(rest) {
        rest = &rest[length..];
        fetching = fetching && matches!(response.handle(packet), Ok(Event::More | Event::Pack(_)));
        pushing = pushing && matches!(report.handle(packet), Ok(None));
        listing = listing && matches!(references.handle_line(packet), Ok(false));
        if let Packet::Data(data) = packet {
            let _ = Band::decode(data);
        }
    }
    let _ = references.head();
}
