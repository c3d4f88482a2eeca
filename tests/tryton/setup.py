"""Fills an empty Tryton database for the tests: a company with a chart of accounts, products, stock, and a key for REST.

Usage: setup.py DATABASE CONFIG KEY. What it makes stands in one place, so that a test can say what it expects.
"""

import datetime
import sys
from decimal import Decimal

from proteus import Model, config
from trytond.modules.account.tests.tools import create_chart, create_fiscalyear
from trytond.modules.account_invoice.tests.tools import set_fiscalyear_invoice_sequences
from trytond.modules.company.tests.tools import create_company, get_company

PRODUCTS = 40

database, config_file, key = sys.argv[1:]
session = config.set_trytond(database, user="admin", config_file=config_file)

create_company()
company = get_company()
create_chart(company)
today = datetime.date.today()
year = set_fiscalyear_invoice_sequences(create_fiscalyear(company, today))
year.click("create_period")

User = Model.get("res.user")
user = User(1)
user.companies.append(company)
user.company = company
user.save()
session._context = User.get_preferences(True, {})

Unit = Model.get("product.uom")
unit, = Unit.find([("name", "=", "Unit")])
Template = Model.get("product.template")
Product = Model.get("product.product")
products = []
for number in range(1, PRODUCTS + 1):
    template = Template()
    template.name = f"Article {number}"
    template.default_uom = unit
    template.type = "goods"
    template.salable = True
    template.list_price = Decimal("10")
    product, = template.products
    product.suffix_code = f"ERP-{number:03}"
    template.save()
    products.append(Product(template.products[0].id))

Location = Model.get("stock.location")
supplier, = Location.find([("type", "=", "supplier")], limit=1)
storage, = Location.find([("code", "=", "STO")])
Move = Model.get("stock.move")
moves = []
for number, product in enumerate(products, 1):
    move = Move()
    move.product = product
    move.unit = unit
    move.quantity = number * 3
    move.from_location = supplier
    move.to_location = storage
    move.company = company
    move.currency = company.currency
    move.unit_price = Decimal("4")
    move.planned_date = today
    move.effective_date = today
    move.save()
    moves.append(move)
Move.click(moves, "do")

Application = Model.get("res.user.application")
Application(user=user, application="rest", key=key).save()
print(f"company {company.id}, storage {storage.id}, unit {unit.id}")
