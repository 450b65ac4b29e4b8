// Package topology reads the file in which a Pinus or Pomelo cluster names its servers, config/servers.json, and follows it: a server
// that is added to the file gets requests, and nothing is started anew.
//
//	{
//	  "production": {                                      the environment: a name, or several with | between them
//	    "connector": [                                     the type: members of one type can stand in for each other
//	      {"id": "connector-server-1", "host": "10.0.0.1", "port": 4050, "clientPort": 3050, "frontend": true}
//	    ],
//	    "gate": [{"id": "gate-server-1", "host": "10.0.0.1", "clientPort": 3014, "frontend": true}]
//	  }
//	}
//
// A file that has types at its top, and no environments, is one environment, as Pinus reads config/production/servers.json.
//
// # Fields of a server
//
//	id             unique in its environment
//	host           name or IP
//	port           1 to 65535: where other servers reach it. A frontend may have none, and is then reached by clientPort
//	clientPort     where clients reach it: a frontend has one, and no other server has
//	frontend       clients may be sent to it
//	clientHost     what clients get as its host (not a field of Pinus); default: host
//	weight         its share beside others of its type, 0 to 1e6; default 1 (not a field of Pinus)
//	max_in_flight  requests that it may have at once; default 0: there is no bound (not a field of Pinus)
//	zone           (not a field of Pinus)
//
// The fields with which Pinus starts a server (args, cpu, memory, alias, auto-restart, restart-force) are passed over. Any other field is
// a warning. The order of the members is that of the file: crc32-mod counts in it.
//
// # What is wrong is told with its place
//
//	/srv/game/config/servers.json:4:7: production.connector[1].id: "connector-server-1" is there twice: first in line 3
//
// [Parse] returns every fault as a [config.Problem]. [Source] keeps the last good table while the file is wrong, empty, absent, or
// replaced while it is being written, and tells the fault as fleet.Silent. Faults in environments other than the one in use are not looked for.
package topology
