-- The database that the rules beside this file look at: the extension, the task API, and a table of one's own exposed.
SET client_min_messages = warning;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION taskapi;
CREATE ROLE anonymous;
CREATE ROLE authenticated;
SELECT taskapi.create_task_api(anonymous => 'anonymous', authenticated => 'authenticated');
CREATE TABLE orders (id int PRIMARY KEY, total numeric);
SELECT taskapi.expose('orders');
