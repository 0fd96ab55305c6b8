//! Datagrams, answered below the sockets.

use super::Server;
use crate::Transport;
use runtime::network::Responder;
use std::{cell::RefCell, net::SocketAddr, rc::Rc};

/// Answers what comes over UDP.
pub(super) struct Datagrams(pub(super) Rc<RefCell<Server>>);

impl Responder for Datagrams {
    fn respond(&mut self, _source: SocketAddr, buffer: &mut [u8], length: usize) -> Option<usize> {
        self.0.borrow_mut().authority.answer(Transport::Udp, buffer, length)
    }
}
