//! Serves simulated members until it is interrupted: `serve [MEMBERS] [PORT]`. Prints the base URL first.

use pagemill_simulator::Simulator;

#[tokio::main]
async fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut arguments = std::env::args().skip(1);
    let members = arguments.next().map_or(Ok(10_000), |text| text.parse())?;
    let port = arguments.next().map_or(Ok(0), |text| text.parse())?;
    let simulator = Simulator::builder().members(members).port(port).start().await?;
    println!("{}", simulator.url());
    tokio::signal::ctrl_c().await?;
    simulator.shutdown().await;
    Ok(())
}
