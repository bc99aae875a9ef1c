-- The database that the rules beside this file look at.
SET client_min_messages = warning;
CREATE EXTENSION pgcrypto;
CREATE EXTENSION taskapi;
