//! Sends notifications (RFC 1996) and takes their answers, over a socket of their own.

use super::Server;
use crate::limits::UDP_OCTETS;
use runtime::network::UdpSocket;
use std::cell::RefCell;
use std::rc::Rc;
use std::time::Duration;
use tokio::time::sleep;

/// An idle hour is as good as any other time to look.
const IDLE: Duration = Duration::from_secs(3600);

/// Sends what is due, for ever.
pub(super) async fn run(server: Rc<RefCell<Server>>, socket: UdpSocket) {
    let changed = server.borrow().to_notify.clone();
    let mut buffer = vec![0; UDP_OCTETS];
    loop {
        let now_ms = platform::clock::monotonic() / 1_000_000;
        let due = server.borrow_mut().poll_notification();
        if let Some((target, message)) = due {
            // An address that cannot be reached is tried again like one that does not answer.
            let _ = tokio::time::timeout(Duration::from_secs(1), socket.send_to(&message, target)).await;
            continue;
        }
        let deadline = server.borrow().notifier.deadline_ms();
        let wait = deadline.map_or(IDLE, |at| Duration::from_millis(at.saturating_sub(now_ms)));
        tokio::select! {
            () = changed.notified() => {}
            () = sleep(wait) => {}
            (length, source) = socket.receive_from(&mut buffer) => {
                server.borrow_mut().handle_notified(source, &buffer[..length]);
            }
        }
    }
}
