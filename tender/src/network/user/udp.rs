//! Which client of the host is which port of the gateway.
//!
//! Every client gets a slot and with it a port: `FIRST_PORT + slot + slots × generation`. A slot that is given to another
//! client gets its next generation, so that a late answer to the first does not reach the second. The slot to give away is
//! found by the clock algorithm: the longest unused one, nearly, without a list.

use std::collections::HashMap;

use super::wire::Address;
use crate::limits::USER_UDP_FLOWS_MAX;

/// The lowest port of the gateway that stands for a client.
const FIRST_PORT: usize = 1024;
/// Generations whose ports fit above [`FIRST_PORT`].
const GENERATIONS: usize = (1 << 16) / USER_UDP_FLOWS_MAX - 1;

const _: () = assert!(FIRST_PORT + USER_UDP_FLOWS_MAX * GENERATIONS <= 1 << 16);

/// A client: which forward it came to, and from where.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Client {
    /// Index of the forward.
    pub forward: usize,
    /// Its address.
    pub address: Address,
}

#[derive(Debug)]
struct Slot {
    client: Client,
    generation: usize,
    used: bool,
}

/// The clients that are remembered, at most [`USER_UDP_FLOWS_MAX`].
#[derive(Debug, Default)]
pub struct Flows {
    slots: Vec<Slot>,
    by_client: HashMap<Client, usize>,
    hand: usize,
}

impl Flows {
    /// The port that stands for `client`; it forgets another client if there is no room.
    pub fn port_of(&mut self, client: Client) -> u16 {
        let slot = match self.by_client.get(&client) {
            Some(&slot) => slot,
            None => self.assign(client),
        };
        self.slots[slot].used = true;
        (FIRST_PORT + slot + USER_UDP_FLOWS_MAX * self.slots[slot].generation) as u16
    }

    /// The client that `port` stands for, if it still does.
    pub fn client_of(&mut self, port: u16) -> Option<Client> {
        let offset = usize::from(port).checked_sub(FIRST_PORT)?;
        let slot = self.slots.get_mut(offset % USER_UDP_FLOWS_MAX)?;
        if slot.generation != offset / USER_UDP_FLOWS_MAX {
            return None;
        }
        slot.used = true;
        Some(slot.client)
    }

    fn assign(&mut self, client: Client) -> usize {
        let slot = if self.slots.len() < USER_UDP_FLOWS_MAX {
            self.slots.push(Slot { client, generation: 0, used: true });
            self.slots.len() - 1
        } else {
            let slot = self.longest_unused();
            let victim = &mut self.slots[slot];
            self.by_client.remove(&victim.client);
            victim.client = client;
            victim.generation = (victim.generation + 1) % GENERATIONS;
            slot
        };
        self.by_client.insert(client, slot);
        slot
    }

    /// Ends within two rounds: the first one clears every mark at the latest.
    fn longest_unused(&mut self) -> usize {
        loop {
            let slot = self.hand;
            self.hand = (self.hand + 1) % self.slots.len();
            if !std::mem::take(&mut self.slots[slot].used) {
                return slot;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(number: usize) -> Client {
        Client { forward: number, address: Address::default() }
    }

    #[test]
    fn a_client_keeps_its_port_and_a_port_its_client() {
        let mut flows = Flows::default();
        let ports: Vec<u16> = (0..USER_UDP_FLOWS_MAX).map(|number| flows.port_of(client(number))).collect();
        for (number, &port) in ports.iter().enumerate() {
            assert_eq!(flows.port_of(client(number)), port);
            assert_eq!(flows.client_of(port), Some(client(number)));
        }
    }

    #[test]
    fn the_unused_client_makes_room_and_its_port_dies() {
        let mut flows = Flows::default();
        let ports: Vec<u16> = (0..USER_UDP_FLOWS_MAX).map(|number| flows.port_of(client(number))).collect();
        let first_new = flows.port_of(client(USER_UDP_FLOWS_MAX));
        assert_eq!(flows.client_of(ports[0]), None, "every mark was set, so the hand took the first");
        assert_eq!(flows.client_of(first_new), Some(client(USER_UDP_FLOWS_MAX)));
        flows.port_of(client(1));
        flows.port_of(client(USER_UDP_FLOWS_MAX + 1));
        assert_eq!(flows.client_of(ports[1]), Some(client(1)), "used since, so it stays");
        assert_eq!(flows.client_of(ports[2]), None);
    }

    #[test]
    fn the_table_stays_bounded_whatever_comes() {
        let mut flows = Flows::default();
        for number in 0..20 * USER_UDP_FLOWS_MAX {
            let port = flows.port_of(client(number));
            assert_eq!(flows.client_of(port), Some(client(number)));
        }
        assert_eq!((flows.slots.len(), flows.by_client.len()), (USER_UDP_FLOWS_MAX, USER_UDP_FLOWS_MAX));
    }

    #[test]
    fn ports_below_the_first_stand_for_nobody() {
        assert_eq!(Flows::default().client_of(53), None);
    }
}
