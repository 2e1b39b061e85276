"""The quickstart with `ainvoke`: the same saver class, with many threads at once.

`python -m examples.async_quickstart` takes its bucket from S3_BUCKET_NAME.
"""

import asyncio

from langchain_core.messages import HumanMessage
from langchain_core.runnables import RunnableConfig

from examples.quickstart import builder
from langgraph_checkpoint_s3 import S3Saver


async def main() -> None:
    async with S3Saver.from_env() as saver:
        graph = builder.compile(checkpointer=saver)

        async def chat(name: str) -> str:
            config: RunnableConfig = {"configurable": {"thread_id": f"async-quickstart/{name}"}}
            await graph.ainvoke({"messages": [HumanMessage(f"My name is {name}.")]}, config)
            answer = await graph.ainvoke({"messages": [HumanMessage("What is my name?")]}, config)
            return str(answer["messages"][-1].content)

        for line in await asyncio.gather(chat("Ada"), chat("Grace"), chat("Edsger")):
            print(line)


if __name__ == "__main__":
    asyncio.run(main())
