#!/bin/sh
echo "make the user"
