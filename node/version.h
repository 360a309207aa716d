/* version.h: the version of the program, as meson.build says it, and the name that it gives to clients. */
#ifndef SB_NODE_VERSION_H
#define SB_NODE_VERSION_H

#ifndef SB_VERSION
#error "meson.build defines SB_VERSION"
#endif

#define SB_CLIENT_VERSION "Samebit/v" SB_VERSION "/linux"
#define SB_CLIENT_AGENT   "samebit/" SB_VERSION /* to peers */

#endif
