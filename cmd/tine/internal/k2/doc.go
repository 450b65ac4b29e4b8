// Package k2 makes a config file of tine from the settings of K2's Load Balancer.
//
//	XML (K2 API) ──▶ readXML ──┐
//	                           ├──▶ settings ──▶ config: an app with a gateway
//	JSON (web K2) ─▶ readJSON ─┘
//
// Both forms have the same words: appServers with server and pipe, multiplier with uid and value, requestTimeout, validTimeout,
// maxHistoryCount and preLoadingEnabled. Where they stand in the file does not matter, nor do capitals, so that a snippet, a section and a
// whole configuration are read alike. A statistic that K2 does not have is an error, with its line and the nearest name; what else is not
// known is a note.
//
// What K2 means and Tine has no word for is a note too: K2 reaches its servers by named pipes and Tine by HTTP, and K2 adds statistics
// up as they are, so that free memory counts against a server.
package k2
