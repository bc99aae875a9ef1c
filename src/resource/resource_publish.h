/*-------------------------------------------------------------------------
 *
 * resource_publish.h
 *	  resource_publish(): every write of a row is a message of the outbox.
 *
 * An AFTER trigger of the table, so that writers who go round the resource
 * count too, and what goes along in a cascade.  Its name sorts first: a trigger
 * after it that writes the row again publishes after it, and the messages of a
 * row are in the order of its changes.
 *
 * What is published is what happened to the row as the resource shows it:
 * created, updated, deleted, restored, purged; nothing for a change of a row
 * that is deleted before and after, and for an UPDATE that changes nothing.  A
 * row whose key changes is purged under the old one and created under the new.
 * Each resource of the table with a topic publishes for itself.
 *
 * The topics are the registry's, which expose() alone writes.  The owner of the
 * table needs EXECUTE on publish(); whoever writes to it does not.
 *
 *-------------------------------------------------------------------------
 */
#ifndef TASKAPI_RESOURCE_PUBLISH_H
#define TASKAPI_RESOURCE_PUBLISH_H

/* Does any resource that is made of this table publish? */
extern bool taskapi_table_publishes(Oid table);

#endif							/* TASKAPI_RESOURCE_PUBLISH_H */
