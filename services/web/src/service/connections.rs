//! Connections: accepted, their handshakes shaken, and HTTP spoken until they end.

use super::Server;
use log::debug;
use runtime::{
    http,
    network::TcpListener,
    tls::{self, TlsAcceptor},
};
use std::{net::IpAddr, rc::Rc};
use tokio::io::{AsyncRead, AsyncWrite};

/// What is spoken on a port.
#[derive(Clone)]
pub enum Front {
    /// HTTP/1.1 in the clear.
    Clear,
    /// HTTP/1.1 or HTTP/2 over TLS, by ALPN.
    Tls(TlsAcceptor),
}

/// Serves whoever connects.
pub async fn accept(listener: TcpListener, server: Rc<Server>, front: Front) {
    loop {
        let (stream, peer) = listener.accept().await;
        runtime::spawn(serve(stream, peer.ip(), server.clone(), front.clone()));
    }
}

/// Serves one connection. What goes wrong is the peer's fault, and ends it.
pub async fn serve<S: AsyncRead + AsyncWrite + Unpin + 'static>(
    stream: S,
    peer: IpAddr,
    server: Rc<Server>,
    front: Front,
) {
    let counted = server.clone();
    let handler = move |is_tls| move |request| server.clone().handle(request, peer, is_tls);
    let outcome = match front {
        Front::Clear => http::serve(stream, None, handler(false)).await,
        Front::Tls(acceptor) => match acceptor.accept(stream).await {
            Ok(stream) => {
                let protocol = tls::protocol(&stream).map(<[u8]>::to_vec);
                http::serve(stream, protocol.as_deref(), handler(true)).await
            }
            Err(error) => {
                debug!("{peer}: {error}");
                return counted.count_handshake_failure();
            }
        },
    };
    if let Err(error) = outcome {
        debug!("{peer}: {error}");
        counted.count_broken();
    }
}
