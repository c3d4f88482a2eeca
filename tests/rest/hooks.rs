//! Events of the store on their way to an ERP.

use std::net::{TcpListener, TcpStream};

use crate::support::{CANARY, Erp, ErpSetup, Shop};

/// A flow that has triggers and no schedule runs by events alone; what they bring is delivered too.
#[test]
fn an_event_starts_a_flow_that_has_no_schedule_and_its_record_reaches_the_erp() {
    let shop = Shop::of(5);
    let erp = Erp::open(|_| {});
    let setup = ErpSetup {
        flow: vec!["schedule: manual".to_owned(), "triggers: [order.created]".to_owned()],
        ..ErpSetup::default()
    };
    let mut desk = setup.desk(&shop, &erp);
    let address = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    desk.setup.webhooks =
        format!("webhooks: {{listen: '{address}', secrets: ['${{file:./hook-secret}}'], check_every: 0s}}\n");
    // The flow beside it, which would read everything, is asked for nothing.
    desk.setup.flow = "    schedule: manual\n".to_owned();
    desk.write("hook-secret", &format!("whsec_{CANARY}{}", "7".repeat(50)));
    desk.configure();
    let mut daemon = desk.daemon();
    daemon.until("the receiver", || TcpStream::connect(address).is_ok());
    let id = shop.some_ids(1)[0];
    desk.run(&["webhooks", "send", "order.created", "--id", &id.to_string()])
        .ends(0);
    daemon.until("the order in the ERP", || erp.created().contains_key(&id.to_string()));
    daemon.stop();
    assert_eq!(erp.created().into_iter().collect::<Vec<_>>(), [(id.to_string(), 1)]);
}
