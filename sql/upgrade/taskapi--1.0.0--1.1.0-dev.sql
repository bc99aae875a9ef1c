\echo Use "ALTER EXTENSION taskapi UPDATE TO '1.1.0-dev'" to load this file. \quit

-- What a change of sql/install changes in a database that has 1.0.0: definition, privileges, comment.
