//! temporary, replaced soon
use holdfast_domain::Role;
pub async fn load(_database: &holdfast_store::Database) -> anyhow::Result<()> { Ok(()) }
pub fn accounts() -> [(&'static str, &'static str, Role); 2] { [("admin", "demo-admin-password", Role::Admin), ("customer", "demo-customer-password", Role::Customer)] }
pub fn picture(_sku: &holdfast_domain::Sku) -> Option<String> { None }
