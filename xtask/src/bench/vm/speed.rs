//! Host CPU per query: all threads of QEMU, guest and device alike, both systems running and asked in turns.

use super::System;
use crate::Failure;
use crate::bench::Bench;
use crate::bench::load::Pace;
use crate::bench::peers::Peer;
use crate::bench::speed::{HEADER, rounds};
use crate::bench::table::{self, Bound};
use crate::bench::zones::ZoneSet;

/// Saturated: what a core can carry.
pub fn measure(bench: &mut Bench) -> Result<(), Failure> {
    let zones = ZoneSet::generate(&bench.lab.directory, 1000)?;
    let mut servers = Vec::new();
    for system in System::BOTH {
        servers.push(Peer::Vm(system).start(bench, &zones)?);
    }
    let columns = rounds(bench, &servers, &zones.good, Pace::Saturating)?;
    let rows: Vec<_> =
        servers.iter().zip(&columns).map(|(server, column)| column.row(server.peer.name())).collect();
    table::print(&HEADER, &rows);
    for server in servers {
        server.stop(&bench.lab);
    }
    let [skerry, linux] = &columns[..] else { return Ok(()) };
    let ratio = skerry.cpu.over(&linux.cpu);
    println!("  CPU of skerry-vm over linux-vm {ratio:.3}");
    bench.promises.note("host CPU per query over the Linux VM's", ratio.median(), Bound::AtMost(1.0 / 10.0));
    bench.promises.note("answers as expected, %", skerry.right.median(), Bound::AtLeast(99.9));
    Ok(())
}
