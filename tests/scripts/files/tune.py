"""Takes the number of processors from the build's machine, as programs do."""
import os

with open("/etc/shop.env", "a") as file:
    file.write(f"SHOP_THREADS={os.cpu_count()}\n")
