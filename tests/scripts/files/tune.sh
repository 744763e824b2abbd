#!/bin/sh
# Takes the number of processors from the build's machine, as scripts do.
echo "SHOP_JOBS=$(nproc)" >>/etc/shop.env
