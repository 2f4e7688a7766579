#!/bin/sh
# The image's arguments are a configuration to serve, or a command to run instead.
set -e
case $1 in
*.yml | *.yaml) exec registry serve "$@" ;;
serve | garbage-collect | help | -*) exec registry "$@" ;;
*) exec "$@" ;;
esac
