//! The flows that a new config can begin with: for each resource a whole mapping, every column with a word
//! on what it holds, so that a person deletes what is not needed instead of looking up what there is.

use contract::settings::nearest;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Resource {
    Orders,
    Customers,
    Products,
    Inventory,
}

const ALL: [Resource; 4] = [
    Resource::Orders,
    Resource::Customers,
    Resource::Products,
    Resource::Inventory,
];

/// Takes a list such as `orders, customers` apart.
pub(super) fn chosen(text: &str) -> Result<Vec<Resource>, String> {
    let mut chosen = Vec::new();
    for word in text.split([',', ' ']).filter(|word| !word.is_empty()) {
        let Some(resource) = ALL.into_iter().find(|resource| resource.name() == word) else {
            let names = ALL.map(Resource::name);
            return Err(match nearest(word, names.into_iter()) {
                Some(near) => format!("there is no `{word}`; did you mean `{near}`?"),
                None => format!("there is no `{word}`; choose from {}", names.join(", ")),
            });
        };
        if !chosen.contains(&resource) {
            chosen.push(resource);
        }
    }
    match chosen.is_empty() {
        true => Err(format!("choose from {}", ALL.map(Resource::name).join(", "))),
        false => Ok(chosen),
    }
}

impl Resource {
    pub(super) fn name(self) -> &'static str {
        match self {
            Resource::Orders => "orders",
            Resource::Customers => "customers",
            Resource::Products => "products",
            Resource::Inventory => "inventory",
        }
    }

    /// The name of its flow.
    pub(super) fn flow(self) -> String {
        format!("{}-to-files", self.name())
    }

    /// Its part of the connector.
    pub(super) fn write(self) -> String {
        let name = self.name();
        let more = match self {
            Resource::Orders => {
                "          max_records: 1000     # a file is closed at this many records …
          max_wait: 1m          # … or this long after its first record
      # order-lines:            # for the flow of the same name below
      #   write:
      #     file: \"order-lines-{timestamp}-{batch}.csv\"
"
            }
            _ => "",
        };
        format!("      {name}:\n        write:\n          file: \"{name}-{{timestamp}}-{{batch}}.csv\"\n{more}")
    }

    pub(super) fn flow_yaml(self, schedule: &str, initial: &str) -> String {
        let name = self.name();
        let flow = self.flow();
        format!(
            "  {flow}:
    from: store.{name}
    to: files.{name}
    schedule: {schedule}    # cron: minute hour day month weekday
    initial: {initial}              # all: the first pass takes all history; new: only what comes from then on
{}",
            self.body()
        )
    }

    fn body(self) -> &'static str {
        match self {
            Resource::Orders => ORDERS,
            Resource::Customers => CUSTOMERS,
            Resource::Products => PRODUCTS,
            Resource::Inventory => INVENTORY,
        }
    }
}

const ORDERS: &str = r#"    # where: '.status != "pending"'     # jq; without it every order is sent
    map:                        # the columns, in this order; each is a jq filter over the order
      id: .id                   # the store's own number of the order; never changes
      number: .number           # what the customer knows it by
      status: .status
      financial_status: .financial_status
      fulfillment_status: .fulfillment_status
      customer_id: .customer.id
      customer_name: .customer.name
      customer_email: .customer.email
      customer_phone: .customer.phone   # leading zeros stay
      shipping_address: .shipping_address   # as the store has it; several parts become JSON
      items: .lines | length    # how many lines it has
      skus: '[.lines[] | .sku // "?"] | join(" ")'
      subtotal: .subtotal       # money is exact, to the digit
      discount_total: .discount_total
      shipping_total: .shipping_total
      tax_total: .tax_total
      grand_total: .grand_total # what the customer pays
      currency: .currency
      payment_method: .payment_method
      courier: .courier
      tracking_code: .tracking_code
      note: .note
      created_at: .created_at   # UTC
      updated_at: .updated_at
      # source: '"SeloraX"'     # a fixed text is a jq text, with quotes of its own
      # lines: .lines           # the lines in one cell, as JSON

  # One row for each line of an order: take the # away here, and at `order-lines` under `connectors`.
  #
  # order-lines-to-files:
  #   from: store.orders
  #   to: files.order-lines
  #   each: .lines[]            # `.` is the line, `$record` the whole order
  #   map:
  #     order_id: $record.id
  #     order_number: $record.number
  #     order_status: $record.status
  #     line_id: .id
  #     product_id: .product_id
  #     sku_id: .sku_id
  #     sku: .sku
  #     name: .name
  #     quantity: .quantity
  #     unit_price: .unit_price
  #     total: .total
  #     currency: $record.currency
  #     updated_at: $record.updated_at
"#;

const CUSTOMERS: &str = r"    # where: .is_guest | not    # jq; without it every customer is sent
    map:                        # the columns, in this order; each is a jq filter over the customer
      id: .id                   # the store's own number of the customer
      name: .name
      email: .email
      phone: .phone             # leading zeros stay
      address: .address         # as the store has it; several parts become JSON
      is_guest: .is_guest       # bought without an account
      total_orders: .total_orders
      total_spent: .total_spent
      created_at: .created_at   # UTC
      updated_at: .updated_at
";

const PRODUCTS: &str = r"    # where: .is_active         # jq; without it every product is sent
    each: .variants[]           # one row for each variant: `.` is the variant, `$record` the product
    map:                        # the columns, in this order
      product_id: $record.id
      product: $record.name
      slug: $record.slug        # its name in the store's addresses
      is_active: $record.is_active
      sku_id: .sku_id
      sku: .sku
      variant: .name
      price: .price
      quantity: .quantity
      created_at: $record.created_at    # UTC
      updated_at: $record.updated_at
";

const INVENTORY: &str = r"    # where: .quantity <= 5     # jq; without it every level is sent
    map:                        # the columns, in this order; each is a jq filter over the stock level
      sku: .sku
      sku_id: .sku_id
      product_id: .product_id
      product_name: .product_name
      quantity: .quantity
      updated_at: .updated_at   # UTC
";
