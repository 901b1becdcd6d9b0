//! Prints the console's types of the API's documents.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let openapi = serde_json::from_str(&andon_api::openapi_json())?;
    let text = andon_api::api_types::javascript(&openapi);
    std::io::Write::write_all(&mut std::io::stdout(), text.as_bytes())?;
    Ok(())
}
