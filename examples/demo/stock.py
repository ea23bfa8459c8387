"""The shop's database: products and the items of baskets in SQLite, by SQLAlchemy. The file ends with the shop."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from sqlalchemy import Column, Integer, MetaData, String, Table, delete, func, insert, select
from sqlalchemy.ext.asyncio import AsyncEngine, create_async_engine

PRODUCTS = 90

metadata = MetaData()
products = Table("products", metadata, Column("id", Integer, primary_key=True), Column("name", String))
items = Table(
    "items", metadata, Column("id", Integer, primary_key=True), Column("basket", Integer), Column("product", Integer)
)


class Stock:
    """The statements of the shop."""

    def __init__(self, engine: AsyncEngine) -> None:
        self._engine = engine

    async def find_product(self, number: int) -> str | None:
        async with self._engine.connect() as connection:
            return (await connection.execute(select(products.c.name).where(products.c.id == number))).scalar()

    async def add_item(self, basket: int, product: int) -> int:
        """Return how many baskets have an item."""
        async with self._engine.begin() as connection:
            await connection.execute(insert(items).values(basket=basket, product=product))
            return (await connection.execute(select(func.count(items.c.basket.distinct())))).scalar_one()

    async def list_items(self, basket: int) -> list[str]:
        """Ask once for each item: `http_server_request_client_calls` shows the route that does this."""
        async with self._engine.connect() as connection:
            found = await connection.execute(select(items.c.product).where(items.c.basket == basket).limit(10))
            names = select(products.c.name)
            return [
                (await connection.execute(names.where(products.c.id == product))).scalar_one()
                for product in found.scalars().all()
            ]

    async def empty_basket(self, basket: int) -> None:
        async with self._engine.begin() as connection:
            await connection.execute(delete(items).where(items.c.basket == basket))


@asynccontextmanager
async def open_stock() -> AsyncIterator[Stock]:
    """Create the database, with few connections: sometimes a request waits for one."""
    with tempfile.TemporaryDirectory(prefix="asyncmetrics-demo-") as folder:
        engine = create_async_engine(f"sqlite+aiosqlite:///{folder}/shop.db", pool_size=2, max_overflow=0)
        try:
            async with engine.begin() as connection:
                await connection.run_sync(metadata.create_all)
                rows = [{"id": number, "name": f"product {number}"} for number in range(1, PRODUCTS + 1)]
                await connection.execute(insert(products), rows)
            yield Stock(engine)
        finally:
            await engine.dispose()
