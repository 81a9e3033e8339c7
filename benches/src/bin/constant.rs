//! What bare actix-web does at most: it answers every request with the same bytes.

use std::io::Write;

use actix_web::{App, HttpResponse, HttpServer, web};
use clap::Parser;

/// Answers every request with the same bytes.
#[derive(Debug, Parser)]
#[command(version)]
struct Arguments {
    /// The address to listen on
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: String,
    /// The length of the answer
    #[arg(long, default_value_t = 1000)]
    bytes: usize,
    /// Threads that serve
    #[arg(long, default_value_t = 2)]
    workers: usize,
}

#[actix_web::main]
async fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let body = web::Bytes::from(vec![b'x'; arguments.bytes]);
    let app = move || {
        let body = body.clone();
        let answer = move || {
            let body = body.clone();
            async move { HttpResponse::Ok().content_type("application/json").body(body) }
        };
        App::new().default_service(web::to(answer))
    };
    let server = HttpServer::new(app).workers(arguments.workers).bind(&arguments.listen)?;
    for address in server.addrs() {
        println!("listening on http://{address}");
    }
    std::io::stdout().flush()?;
    Ok(server.run().await?)
}
