"""Fills an empty Tryton database for the tests: a company with a chart of accounts, and a key for REST.

Usage: setup.py DATABASE CONFIG KEY. Fails where a number is another than examples/tryton.yaml and the test count on.
"""

import datetime
import sys

from proteus import Model, config
from trytond.modules.account.tests.tools import create_chart, create_fiscalyear
from trytond.modules.account_invoice.tests.tools import set_fiscalyear_invoice_sequences
from trytond.modules.company.tests.tools import create_company, get_company

NUMBERS = {"company": 1, "its party": 1, "its currency": 1, "unit": 1, "storage": 3, "supplier": 6}

database, config_file, key = sys.argv[1:]
config.set_trytond(database, user="admin", config_file=config_file)

create_company(currency="BDT")
company = get_company()
create_chart(company)
year = set_fiscalyear_invoice_sequences(create_fiscalyear(company, datetime.date.today()))
year.click("create_period")

User = Model.get("res.user")
user = User(1)
user.companies.append(company)
user.company = company
user.save()

Application = Model.get("res.user.application")
Application(user=user, application="rest", key=key).save()


def number(model, *domain):
    record, = Model.get(model).find([domain])
    return record.id


numbers = {
    "company": company.id,
    "its party": company.party.id,
    "its currency": company.currency.id,
    "unit": number("product.uom", "name", "=", "Unit"),
    "storage": number("stock.location", "code", "=", "STO"),
    "supplier": number("stock.location", "type", "=", "supplier"),
}
if numbers != NUMBERS:
    sys.exit(f"the numbers are {numbers} and not {NUMBERS}")
