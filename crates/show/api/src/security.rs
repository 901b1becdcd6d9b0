//! How callers prove who they are, as the API's description says it.

use utoipa::Modify;
use utoipa::openapi::OpenApi;
use utoipa::openapi::security::{
    ApiKey, ApiKeyValue, HttpAuthScheme, HttpBuilder, SecurityRequirement, SecurityScheme,
};

/// Adds the schemes, and that any of them will do.
pub(crate) struct Security;

impl Modify for Security {
    fn modify(&self, document: &mut OpenApi) {
        let token = HttpBuilder::new()
            .scheme(HttpAuthScheme::Bearer)
            .description(Some(
                "A token of the node that is asked: andon token create --role ingest|viewer|operator|admin",
            ))
            .build();
        let cookie = ApiKeyValue::with_description(
            "andon_<head of the node's fingerprint>",
            "A session, begun with POST /api/v1/session",
        );
        let node = SecurityScheme::MutualTls {
            description: Some(
                "The certificate of a node that is in the picture; may look, and trace in the name of a person"
                    .to_owned(),
            ),
            deprecated: None,
            extensions: None,
        };
        let components = document.components.get_or_insert_with(Default::default);
        components.add_security_scheme("token", SecurityScheme::Http(token));
        components.add_security_scheme("session", SecurityScheme::ApiKey(ApiKey::Cookie(cookie)));
        components.add_security_scheme("node", node);
        // The empty one: clients on the node's own machine may look without any.
        let none = SecurityRequirement::default();
        let any = ["token", "session", "node"]
            .map(|name| SecurityRequirement::new::<_, _, String>(name, []));
        document.security = Some(any.into_iter().chain([none]).collect());
    }
}
