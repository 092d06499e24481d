use std::num::NonZeroU64;
use std::time::{Duration, Instant};

use holdfast_testbed::{FaultProxy, eventually};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

use crate::SOON;

/// A real TCP server that sends back what it gets; its port.
async fn echo() -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((mut stream, _)) = listener.accept().await {
            tokio::spawn(async move {
                let (mut reader, mut writer) = stream.split();
                tokio::io::copy(&mut reader, &mut writer).await
            });
        }
    });
    port
}

async fn connect(proxy: &FaultProxy) -> TcpStream {
    TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap()
}

async fn say(stream: &mut TcpStream, text: &[u8]) -> std::io::Result<Vec<u8>> {
    stream.write_all(text).await?;
    hear(stream, text.len()).await
}

async fn hear(stream: &mut TcpStream, count: usize) -> std::io::Result<Vec<u8>> {
    let mut answer = vec![0; count];
    timeout(SOON, stream.read_exact(&mut answer)).await.expect("an answer in time")?;
    Ok(answer)
}

#[tokio::test]
async fn a_healthy_wire_carries_a_megabyte_unchanged_and_the_close() {
    let proxy = FaultProxy::in_front_of(echo().await).await.unwrap();
    let sent: Vec<u8> = (0..1_000_000_u32).map(|number| (number % 251) as u8).collect();
    let (mut reader, mut writer) = connect(&proxy).await.into_split();
    let copy = sent.clone();
    let write = tokio::spawn(async move {
        writer.write_all(&copy).await.unwrap();
        writer.shutdown().await.unwrap();
    });
    let mut heard = Vec::new();
    // Ends only if the echo saw our close, and we see its.
    timeout(SOON, reader.read_to_end(&mut heard)).await.unwrap().unwrap();
    write.await.unwrap();
    assert!(heard == sent);
    assert_eq!(proxy.carried_bytes(), 2_000_000);
    eventually("the connection to be forgotten", SOON, || async { proxy.connections() == 0 }).await.unwrap();
}

#[tokio::test]
async fn a_cut_wire_closes_and_refuses_until_it_is_healed() {
    let proxy = FaultProxy::in_front_of(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"hi").await.unwrap();
    proxy.cut().await;
    let ended = timeout(SOON, stream.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    let refused = TcpStream::connect(("127.0.0.1", proxy.port())).await.unwrap_err();
    assert_eq!(refused.kind(), std::io::ErrorKind::ConnectionRefused);
    proxy.heal().await;
    assert_eq!(say(&mut connect(&proxy).await, b"again").await.unwrap(), b"again");
}

#[tokio::test]
async fn a_half_open_wire_accepts_and_swallows_until_it_is_healed() {
    let proxy = FaultProxy::in_front_of(echo().await).await.unwrap();
    let mut old = connect(&proxy).await;
    say(&mut old, b"before").await.unwrap();
    proxy.half_open().await;
    let mut new = connect(&proxy).await;
    for stream in [&mut old, &mut new] {
        stream.write_all(b"lost?").await.unwrap();
        let silence = timeout(Duration::from_millis(150), stream.read(&mut [0; 1])).await;
        assert!(silence.is_err(), "neither an answer nor a close may come: {silence:?}");
    }
    proxy.heal().await;
    assert_eq!(hear(&mut old, 5).await.unwrap(), b"lost?");
    assert_eq!(hear(&mut new, 5).await.unwrap(), b"lost?");
}

#[tokio::test]
async fn a_close_does_not_get_through_a_half_open_wire() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = FaultProxy::in_front_of(listener.local_addr().unwrap().port()).await.unwrap();
    let client = connect(&proxy).await;
    let (mut server, _) = listener.accept().await.unwrap();
    proxy.half_open().await;
    drop(client);
    assert!(timeout(Duration::from_millis(150), server.read(&mut [0; 1])).await.is_err());
    proxy.heal().await;
    assert_eq!(timeout(SOON, server.read(&mut [0; 1])).await.unwrap().unwrap(), 0);
}

#[tokio::test]
async fn delay_lengthens_each_way_without_narrowing_the_wire() {
    let proxy = FaultProxy::in_front_of(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await;
    proxy.delay(Duration::from_millis(50)).await;
    let begin = Instant::now();
    say(&mut stream, b"x").await.unwrap();
    let one = begin.elapsed();
    assert!(one >= Duration::from_millis(100), "{one:?}");
    // 20 chunks one after the other would take 2 s if each waited for the one before.
    let begin = Instant::now();
    for _ in 0..20 {
        stream.write_all(&[0; 1_000]).await.unwrap();
        tokio::time::sleep(Duration::from_millis(2)).await;
    }
    hear(&mut stream, 20_000).await.unwrap();
    assert!(begin.elapsed() < Duration::from_secs(1), "{:?}", begin.elapsed());
}

#[tokio::test]
async fn throttle_bounds_the_rate() {
    let proxy = FaultProxy::in_front_of(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await;
    proxy.throttle(NonZeroU64::new(50_000).unwrap()).await;
    let begin = Instant::now();
    say(&mut stream, &[0; 10_000]).await.unwrap();
    let took = begin.elapsed();
    assert!(took >= Duration::from_millis(200), "10 kB at 50 kB/s took {took:?}");
    proxy.heal().await;
    let begin = Instant::now();
    say(&mut stream, &[0; 10_000]).await.unwrap();
    assert!(begin.elapsed() < Duration::from_millis(200), "healed, but it took {:?}", begin.elapsed());
}

#[tokio::test]
async fn dropped_connections_can_come_back_at_once() {
    let proxy = FaultProxy::in_front_of(echo().await).await.unwrap();
    let mut stream = connect(&proxy).await;
    say(&mut stream, b"hi").await.unwrap();
    proxy.drop_connections().await;
    let ended = timeout(SOON, stream.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
    say(&mut connect(&proxy).await, b"hi").await.unwrap();
    assert_eq!(proxy.accepted(), 2);
}

#[tokio::test]
async fn a_dead_upstream_shows_as_a_closed_connection() {
    let nobody = holdfast_testbed::free_port().unwrap();
    let proxy = FaultProxy::in_front_of(nobody.number()).await.unwrap();
    let ended = timeout(SOON, connect(&proxy).await.read(&mut [0; 1])).await.unwrap();
    assert!(matches!(ended, Ok(0) | Err(_)), "{ended:?}");
}

#[tokio::test]
async fn redirect_swaps_the_address_inside_any_url() {
    let proxy = FaultProxy::in_front_of(4321).await.unwrap();
    let url = proxy.redirect("amqp://me:secret@127.0.0.1:4321/%2F");
    assert_eq!(url, format!("amqp://me:secret@127.0.0.1:{}/%2F", proxy.port()));
}
