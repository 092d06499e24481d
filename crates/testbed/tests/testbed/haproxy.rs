use holdfast_testbed::{Haproxy, Process, Ready, eventually, find_program, free_port, http_get};

use crate::SOON;

/// A web server that shows the files of its folder.
async fn web_server() -> (Process, u16) {
    let port = free_port().unwrap().number();
    let server = Process::build("web", find_program("python3", "python3").unwrap())
        .args(["-m", "http.server", "--bind", "127.0.0.1", &port.to_string()])
        .ready(Ready::Port(port))
        .start()
        .await
        .unwrap();
    (server, port)
}

#[tokio::test]
async fn haproxy_leaves_out_a_dead_back_end_and_takes_it_back() {
    let (one, one_port) = web_server().await;
    let (two, two_port) = web_server().await;
    std::fs::write(one.folder().join("name"), "one").unwrap();
    std::fs::write(two.folder().join("name"), "two").unwrap();
    let haproxy = Haproxy::over_http(&[one_port, two_port], "/").await.unwrap();
    let names = || async {
        let mut names = Vec::new();
        for _ in 0..6 {
            names.push(
                http_get(haproxy.port(), "/name").await.map_or_else(|_| "none".to_owned(), |got| got.body),
            );
        }
        names.sort();
        names.dedup();
        names
    };
    eventually("both to answer", SOON, || async { names().await == ["one", "two"] }).await.unwrap();
    one.kill().unwrap();
    eventually("only the second to answer", SOON, || async { names().await == ["two"] }).await.unwrap();
    one.restart().await.unwrap();
    eventually("both to answer again", SOON, || async { names().await == ["one", "two"] }).await.unwrap();

    haproxy.kill().unwrap();
    http_get(haproxy.port(), "/name").await.unwrap_err();
    haproxy.restart().await.unwrap();
    assert!(http_get(haproxy.port(), "/name").await.unwrap().is_success());
}

#[tokio::test]
async fn a_wrong_configuration_fails_the_start_with_haproxys_words() {
    let Err(trouble) = Haproxy::start("frontend x\n    bond 127.0.0.1:{port}\n").await else {
        panic!("it cannot have started")
    };
    assert!(trouble.to_string().contains("bond"), "{trouble}");
}
